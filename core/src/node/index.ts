export { replaceFile, syncFolder, writeFileAtomically } from "./files.js";
export { nodeSha256, sha256OfFile } from "./hash.js";
export { readHostPort } from "./host-port.js";
export { isLoopback } from "./loopback.js";
export { makeProcessFolder } from "./process-folder.js";
export { startThread } from "./start-thread.js";
export { SafetensorsFile, writeSafetensorsFile } from "./safetensors-file.js";
