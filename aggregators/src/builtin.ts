import { fedavg } from "./method/fedavg.js";
import { createMethodRegistry } from "./registry.js";

/** Every method of this package: one line each. */
export const builtinMethods = createMethodRegistry([fedavg]);
