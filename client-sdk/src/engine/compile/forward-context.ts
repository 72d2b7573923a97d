import { headKeys, loraKeys } from "@fedlora/core";
import type { FamilyDescription, ForwardContext } from "../../models/family.js";
import * as ops from "../../models/ops.js";
import type { AdapterUpdate, LowRankPair, Operand, Value } from "../../models/ops.js";
import { formTensors } from "../adapter-form.js";
import type { AdapterKind } from "../adapter-form.js";
import type { ArtifactRequest } from "../artifact.js";
import { baseDeltaModules, inputNames } from "./declare-inputs.js";
import type { TrainedTensor } from "./declare-inputs.js";

export interface ContextRequest {
  readonly request: ArtifactRequest;
  readonly description: FamilyDescription;
  readonly trained: readonly TrainedTensor[];
  readonly input: (name: string) => Value;
  readonly weight: (name: string) => Value;
  /** Told of every adapted module's input [rows, dIn] as it comes; adapters are then left out. */
  readonly observe?: ((module: string, x: Value) => void) | undefined;
}

const operandNames: Readonly<Record<AdapterKind, keyof AdapterUpdate>> = {
  "lora-a": "a",
  "lora-b": "b",
  "lora-r": "r",
  "vera-d": "scaleRank",
  "vera-b": "scaleOut",
};

/** Gives a family's forward pass its weights and puts the adapters where they belong. */
export function createForwardContext(options: ContextRequest): ForwardContext {
  const { request, description, trained, input, weight, observe } = options;
  const lowestTrained = Math.min(...trained.map(({ layer }) => layer ?? Infinity));
  const biases = new Set(description.weights.map(({ name }) => name).filter((name) => name.endsWith(".bias")));
  const heads = new Set(description.heads.map(({ name }) => name));
  const adapted = new Map(request.adapted.map((module) => [module.name, module]));
  const differentiated = new Set(trained.map(({ name }) => name));
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
  const updateOf = (module: string): AdapterUpdate => {
    const { form = "lora" } = adapted.get(module) ?? {};
    const operands = formTensors({ name: module, dIn: 0, dOut: 0 }, form, 0).map(({ kind, name }) => [
      operandNames[kind],
      { value: adapter(name), trained: differentiated.has(name) } satisfies Operand,
    ]);
    return {
      ...(Object.fromEntries(operands) as Pick<AdapterUpdate, "a" | "b">),
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
      if (!adapted.has(module)) return base;
      if (observe === undefined) return ops.adapterUpdate(base, x, updateOf(module));
      observe(module, x);
      return base;
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
