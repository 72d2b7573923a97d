export { PowerLossFileSystem, PowerLost } from "./power-loss-file-system.js";
export type { SurvivalMode } from "./power-loss-file-system.js";
export { appendAll, describeStorage } from "./storage-contract.js";
export type { StorageMedium } from "./storage-contract.js";
