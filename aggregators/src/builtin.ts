import { bulyan } from "./method/bulyan.js";
import { centredClipping } from "./method/centred-clipping.js";
import { coordinateMedian } from "./method/coordinate-median.js";
import { fedSb } from "./method/fed-sb.js";
import { fedavg } from "./method/fedavg.js";
import { fedexLora } from "./method/fedex-lora.js";
import { fedsaLora } from "./method/fedsa-lora.js";
import { ffaLora } from "./method/ffa-lora.js";
import { flasc } from "./method/flasc.js";
import { flexlora } from "./method/flexlora.js";
import { flora } from "./method/flora.js";
import { hetlora } from "./method/hetlora.js";
import { krum } from "./method/krum.js";
import { legend } from "./method/legend.js";
import { loraFair } from "./method/lora-fair.js";
import { loraLego } from "./method/lora-lego.js";
import { multiKrum } from "./method/multi-krum.js";
import { normBound } from "./method/norm-bound.js";
import { qFfl } from "./method/q-ffl.js";
import { rolora } from "./method/rolora.js";
import { trimmedMean } from "./method/trimmed-mean.js";
import { createMethodRegistry } from "./registry.js";

/** Every method of this package: one line each. */
export const builtinMethods = createMethodRegistry([
  bulyan,
  centredClipping,
  coordinateMedian,
  fedSb,
  fedavg,
  fedexLora,
  fedsaLora,
  ffaLora,
  flasc,
  flexlora,
  flora,
  hetlora,
  krum,
  legend,
  loraFair,
  loraLego,
  multiKrum,
  normBound,
  qFfl,
  rolora,
  trimmedMean,
]);
