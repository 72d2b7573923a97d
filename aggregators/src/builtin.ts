import { fedavg } from "./method/fedavg.js";
import { fedSb } from "./method/fed-sb.js";
import { fedexLora } from "./method/fedex-lora.js";
import { fedsaLora } from "./method/fedsa-lora.js";
import { ffaLora } from "./method/ffa-lora.js";
import { flasc } from "./method/flasc.js";
import { flexlora } from "./method/flexlora.js";
import { flora } from "./method/flora.js";
import { hetlora } from "./method/hetlora.js";
import { legend } from "./method/legend.js";
import { loraFair } from "./method/lora-fair.js";
import { loraLego } from "./method/lora-lego.js";
import { qFfl } from "./method/q-ffl.js";
import { rolora } from "./method/rolora.js";
import { createMethodRegistry } from "./registry.js";

/** Every method of this package: one line each. */
export const builtinMethods = createMethodRegistry([
  fedavg,
  fedSb,
  fedexLora,
  fedsaLora,
  ffaLora,
  flasc,
  flexlora,
  flora,
  hetlora,
  legend,
  loraFair,
  loraLego,
  qFfl,
  rolora,
]);
