import { canonicalLayout } from "@fedlora/core";
import type { TensorSpec } from "@fedlora/core";
import { bulyan } from "../method/bulyan.js";
import { centredClipping } from "../method/centred-clipping.js";
import { coordinateMedian } from "../method/coordinate-median.js";
import { krum } from "../method/krum.js";
import { multiKrum } from "../method/multi-krum.js";
import { normBound } from "../method/norm-bound.js";
import { trimmedMean } from "../method/trimmed-mean.js";
import type { MethodCase } from "./method-case.js";
import {
  bulyanOracle,
  centredOracle,
  krumOracle,
  medianOracle,
  normBoundOracle,
  trimmedOracle,
  type Elements,
} from "./robust-oracles.js";

const spec = (name: string, ...shape: number[]): TensorSpec => ({
  name: `base_model.model.${name}`,
  dtype: "F32",
  shape,
});
/** Ranks up to the smaller side, so that the rank leaves nothing out and the oracles are dense. */
const fullRank = canonicalLayout([
  spec("layer.0.query.lora_A.weight", 4, 5),
  spec("layer.0.query.lora_B.weight", 4, 4),
  spec("layer.1.value.lora_A.weight", 2, 2),
  spec("layer.1.value.lora_B.weight", 3, 2),
  spec("classifier.weight", 2, 3),
  spec("classifier.bias", 2),
]);

const crowd = { cohort: { size: 20, quorum: 10 } };
const inFloat64 = "shares are float64 quotients";
const bounded = "a change beyond the bound is cut";
const byHeads = "every update counts the same, whatever its weight";
const notAMean = "it is no mean: two equal updates lie nearer to each other than one does to itself";
const decomposed = "the product of the factors is decomposed again";
const tooLarge = "products of values of 1e30 are beyond float32, the round is refused";

interface RuleCase extends Omit<MethodCase, "oracle"> {
  /** Where coordinates count, those of the products or of the tensors. */
  readonly oracleOf: (elements: Elements) => MethodCase["oracle"];
}

/** One row with both factors, whose products are decomposed, and one with B alone, where the rule is exact. */
function rows({ except = {}, options, oracleOf, ...row }: RuleCase): readonly MethodCase[] {
  return [
    {
      ...row,
      options,
      oracle: oracleOf("products"),
      spec: crowd,
      layout: fullRank,
      except: { bits: decomposed, "extreme-values": tooLarge, ...except },
    },
    {
      ...row,
      label: row.label === undefined ? "B alone" : `${row.label}, B alone`,
      options: { ...options, factor: "b" },
      oracle: oracleOf("tensors"),
      spec: crowd,
      except,
    },
  ];
}

/** The rows of the robust rules. */
export const robustCases: readonly MethodCase[] = [
  {
    definition: krum,
    options: { byzantine: 1 },
    minUpdates: 5,
    except: { "split-client": notAMean },
    oracleOf: () => krumOracle(1, () => 1),
  },
  {
    definition: multiKrum,
    options: { byzantine: 1, selected: 3 },
    minUpdates: 5,
    except: { "split-client": notAMean, bits: inFloat64 },
    oracleOf: () => krumOracle(1, () => 3),
  },
  {
    definition: normBound,
    options: { bound: 1.5, headBound: 0.7 },
    except: { "own-adapter": bounded, bits: inFloat64 },
    oracleOf: () => normBoundOracle([1.5, 0.7]),
  },
  {
    definition: centredClipping,
    options: { bound: 1.5, headBound: 0.7, iterations: 2 },
    except: { "own-adapter": bounded, bits: inFloat64 },
    oracleOf: () => centredOracle(2, [1.5, 0.7]),
  },
  {
    definition: normBound,
    label: "median",
    options: {},
    except: { "split-client": byHeads, bits: inFloat64 },
    oracleOf: () => normBoundOracle(),
  },
  {
    definition: centredClipping,
    label: "median",
    options: {},
    except: { "split-client": byHeads, bits: inFloat64 },
    oracleOf: () => centredOracle(3),
  },
  {
    definition: trimmedMean,
    options: { trim: 0.25 },
    except: { "split-client": byHeads },
    oracleOf: trimmedOracle(0.25),
  },
  { definition: coordinateMedian, options: {}, except: { "split-client": byHeads }, oracleOf: medianOracle },
  {
    definition: bulyan,
    options: { byzantine: 1 },
    minUpdates: 7,
    except: { "split-client": byHeads },
    oracleOf: bulyanOracle(1),
  },
].flatMap(rows);
