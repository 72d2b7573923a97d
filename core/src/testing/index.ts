export { toBeAllCloseTo, worstElement } from "./all-close.js";
export type { Tolerance, WorstElement } from "./all-close.js";
export {
  layoutArbitrary,
  shapeArbitrary,
  stateDictArbitrary,
  tensorNameArbitrary,
  valuesArbitrary,
} from "./arbitraries.js";
export { ManualClock } from "./manual-clock.js";
