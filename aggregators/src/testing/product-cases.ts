import { fedexLora } from "../method/fedex-lora.js";
import { flora } from "../method/flora.js";
import { mixedRanks } from "./method-case.js";
import type { MethodCase } from "./method-case.js";
import { meanOfProducts } from "./product-oracles.js";

const notBitwise = "products are rounded where factors are not, and the blocks of a stack depend on the split";
const notExtreme = "products of such values are beyond float32: the round is refused";
const fewerModules = "a client may hold fewer modules, and then sends none of their tensors";
const except = { bits: notBitwise, "extreme-values": notExtreme };

/** Rows of the methods that work on the products B A. */
export const productCases: readonly MethodCase[] = [
  { definition: fedexLora, options: {}, except, oracle: meanOfProducts },
  { definition: fedexLora, label: "truncated, nothing left out", options: { truncate: 40 }, except, oracle: meanOfProducts },
  { definition: flora, options: {}, except: { ...except, "missing-factor": fewerModules }, oracle: meanOfProducts },
  {
    definition: flora,
    label: "mixed ranks, factored",
    options: { dense: false },
    ranks: mixedRanks,
    except: { ...except, "missing-factor": fewerModules },
    oracle: meanOfProducts,
  },
];
