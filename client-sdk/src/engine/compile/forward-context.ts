import { headKeys, loraKeys } from "@fedlora/core";
import type { FamilyDescription, ForwardContext } from "../../models/family.js";
import * as ops from "../../models/ops.js";
import type { LowRankPair, LowRankUpdate, Value } from "../../models/ops.js";
import type { ArtifactRequest } from "../artifact.js";
import { baseDeltaModules, inputNames } from "./declare-inputs.js";
import type { TrainedTensor } from "./declare-inputs.js";

export interface ContextRequest {
  readonly request: ArtifactRequest;
  readonly description: FamilyDescription;
  readonly trained: readonly TrainedTensor[];
  readonly input: (name: string) => Value;
  readonly weight: (name: string) => Value;
}

/** Gives a family's forward pass its weights and puts the adapters where they belong. */
export function createForwardContext(options: ContextRequest): ForwardContext {
  const { request, description, trained, input, weight } = options;
  const lowestTrained = Math.min(...trained.map(({ layer }) => layer ?? Infinity));
  const biases = new Set(description.weights.map(({ name }) => name).filter((name) => name.endsWith(".bias")));
  const heads = new Set(description.heads.map(({ name }) => name));
  const adapted = new Set(request.adapted.map(({ name }) => name));
  const changed = new Set(baseDeltaModules(request));
  const masked = request.dropout && request.purpose === "train";
  /** Within a layer that is run again, adapters are the arguments of that run. */
  let substitutes: ReadonlyMap<string, Value> = new Map();
  const adapter = (name: string): Value => substitutes.get(name) ?? input(name);

  const baseDelta = (module: string): LowRankPair | undefined => {
    if (!changed.has(module)) return undefined;
    const { a, b } = loraKeys(module);
    return { a: input(inputNames.baseDelta(a)), b: input(inputNames.baseDelta(b)) };
  };
  const loraOf = (module: string): LowRankUpdate => {
    const { a, b } = loraKeys(module);
    return {
      a: adapter(a),
      b: adapter(b),
      scaling: input(inputNames.scaling(module)),
      mask: masked ? input(inputNames.dropoutMask(module)) : undefined,
    };
  };

  return {
    ops,
    request,
    tokens: input(inputNames.tokens),
    attentionMask: input(inputNames.attentionMask),
    weight,

    linear(module, x) {
      if (request.modulesToSave.includes(module)) {
        const names = headKeys(module);
        return ops.linear(x, adapter(names.weight), adapter(names.bias));
      }
      const hasBias = heads.has(module) || biases.has(`${module}.bias`);
      const bias = hasBias ? weight(`${module}.bias`) : undefined;
      const base = ops.frozenLinear(x, weight(`${module}.weight`), bias, baseDelta(module));
      return adapted.has(module) ? ops.lowRankUpdate(base, x, loraOf(module)) : base;
    },

    layer(index, x, body) {
      const recomputed = request.purpose === "train" && request.memory === "recompute" && index >= lowestTrained;
      if (!recomputed) return body(x);
      const names = trained.filter(({ layer }) => layer === index).map(({ name }) => name);
      return ops.checkpoint([x, ...names.map(input)], (inputs) => {
        const outer = substitutes;
        substitutes = new Map(names.map((name, i) => [name, inputs[i + 1] ?? input(name)]));
        try {
          return body(inputs[0] ?? x);
        } finally {
          substitutes = outer;
        }
      });
    },
  };
}
