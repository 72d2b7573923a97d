export { replaceFile, syncFolder, writeFileAtomically } from "./files.js";
export { nodeSha256, sha256OfFile } from "./hash.js";
export { isLoopback } from "./loopback.js";
export { startThread } from "./start-thread.js";
export { SafetensorsFile, writeSafetensorsFile } from "./safetensors-file.js";
