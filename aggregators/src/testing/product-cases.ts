import { canonicalLayout } from "@fedlora/core";
import type { TensorLayout, TensorSpec } from "@fedlora/core";
import { fedexLora } from "../method/fedex-lora.js";
import { flexlora } from "../method/flexlora.js";
import { flora } from "../method/flora.js";
import { loraFair } from "../method/lora-fair.js";
import { loraLego } from "../method/lora-lego.js";
import { mixedRanks } from "./method-case.js";
import type { MethodCase } from "./method-case.js";
import { correctedMean, meanOfHeads, meanOfProducts } from "./product-oracles.js";

const notBitwise = "decompositions and float64 shares: the same weights, but for rounding";
const notExtreme = "products of such values are beyond float32: the round is refused";
const except = { bits: notBitwise, "extreme-values": notExtreme };

const spec = (name: string, ...shape: number[]): TensorSpec => ({
  name: `base_model.model.${name}`,
  dtype: "F32",
  shape,
});
/** Ranks as large as the modules' smaller sides: no product has a higher one. */
const fullRanks: TensorLayout = canonicalLayout([
  spec("layer.0.query.lora_A.weight", 5, 5),
  spec("layer.0.query.lora_B.weight", 7, 5),
  spec("layer.1.value.lora_A.weight", 4, 6),
  spec("layer.1.value.lora_B.weight", 4, 4),
  spec("classifier.weight", 3, 4),
  spec("classifier.bias", 3),
]);

/** Rows of the methods that work on the products B A. */
export const productCases: readonly MethodCase[] = [
  { definition: fedexLora, options: {}, except, oracle: meanOfProducts },
  {
    definition: fedexLora,
    label: "truncated, nothing left out",
    options: { truncate: 40 },
    except,
    oracle: meanOfProducts,
  },
  { definition: flora, options: {}, except, oracle: meanOfProducts },
  {
    definition: flora,
    label: "mixed ranks, factored",
    options: { dense: false },
    ranks: mixedRanks,
    except,
    oracle: meanOfProducts,
  },
  { definition: flora, label: "mixed ranks", options: {}, ranks: mixedRanks, except, oracle: meanOfProducts },
  {
    definition: flexlora,
    options: {},
    layout: fullRanks,
    except,
    oracle: (round) => meanOfProducts(round, "holders"),
  },
  {
    definition: flexlora,
    label: "mixed ranks",
    options: {},
    layout: fullRanks,
    ranks: mixedRanks,
    except,
    oracle: (round) => meanOfProducts(round, "holders"),
  },
  {
    definition: loraFair,
    options: {},
    except,
    // The correction divides by the Gram matrix of A, which here may be near singular.
    tolerance: 2e-5,
    oracle: (round) => correctedMean(round, 0.01),
  },
  {
    definition: loraFair,
    label: "cosine",
    options: { solver: { kind: "cosine", steps: 20 } },
    except,
    tolerance: 2e-5,
    oracle: (round) => ({ tensors: meanOfHeads(round) }),
  },
  {
    definition: loraLego,
    options: {},
    except: { ...except, "split-client": "the seeding is drawn over the units, of which there are then more" },
    oracle: (round) => ({ tensors: meanOfHeads(round) }),
  },
  {
    definition: loraLego,
    label: "mixed ranks",
    options: {},
    ranks: mixedRanks,
    except: { ...except, "split-client": "the seeding is drawn over the units, of which there are then more" },
    oracle: (round) => ({ tensors: meanOfHeads(round) }),
  },
];
