export { aggregateInMemory, memoryUpdate, stateOf, testSpec } from "./memory.js";
export type { NamedValues } from "./memory.js";
export { describeMethod } from "./method-contract.js";
export type { MethodCase, OracleUpdate } from "./method-contract.js";
