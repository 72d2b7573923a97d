import { fedavg } from "./method/fedavg.js";
import { fedsaLora } from "./method/fedsa-lora.js";
import { ffaLora } from "./method/ffa-lora.js";
import { flasc } from "./method/flasc.js";
import { legend } from "./method/legend.js";
import { qFfl } from "./method/q-ffl.js";
import { rolora } from "./method/rolora.js";
import { createMethodRegistry } from "./registry.js";

/** Every method of this package: one line each. */
export const builtinMethods = createMethodRegistry([fedavg, fedsaLora, ffaLora, flasc, legend, qFfl, rolora]);
