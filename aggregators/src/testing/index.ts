export {
  block,
  deltaOf,
  dense,
  denseOf,
  denseState,
  entry,
  keyOf,
  modulesOf,
  norm,
  plus,
  product,
  productOf,
  times,
  transposed,
  weightedMean,
} from "./dense.js";
export type { Dense, DenseState } from "./dense.js";
export { aggregateInMemory, memoryUpdate, MemorySink, stateOf, testSpec } from "./memory.js";
export type { InMemoryOptions, NamedValues } from "./memory.js";
export { contractLayouts, contractScalings, mixedRanks } from "./method-case.js";
export type { ExceptableProperty, MethodCase, OracleResult, OracleRound, OracleUpdate } from "./method-case.js";
export { describeMethod } from "./method-contract.js";
