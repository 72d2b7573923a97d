export { PowerLossFileSystem, PowerLost } from "./power-loss-file-system.js";
export type { SurvivalMode } from "./power-loss-file-system.js";
export { appendAll, describeStorage } from "./storage-contract.js";
export type { StorageMedium } from "./storage-contract.js";

export { FakeService, fakePlan } from "../server/testing/fake-service.js";
export { chunkOf, codeOf, refOf, sampleUpdate, serve, TestClient } from "../server/testing/harness.js";
export type { Served } from "../server/testing/harness.js";
export { createCallAdapters } from "../server/call.js";
export { startGrpcServer } from "../server/grpc-server.js";
