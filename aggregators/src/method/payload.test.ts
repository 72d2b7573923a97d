import { adapterLayout, referenceModules } from "@fedlora/core";
import type { RunSpecInput, TensorLayout } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { builtinMethods } from "../builtin.js";
import type { ByteCount, ClientCapability } from "../method.js";
import { compileOn } from "../testing/one-module.js";

/** Shapes and parameter counts of published models, computed apart from this package. */
const models = [
  { model: "roberta-large", targets: ["query", "value"], rank: 8, a: 393_216, b: 393_216, modules: 48 },
  { model: "tinyllama-1.1b", targets: ["q_proj", "v_proj"], rank: 16, a: 1_441_792, b: 811_008, modules: 44 },
  { model: "llama-3-8b", targets: ["q_proj", "v_proj"], rank: 8, a: 2_097_152, b: 1_310_720, modules: 64 },
  { model: "llama-3.2-3b", targets: "all-linear", rank: 32, a: 23_855_104, b: 24_772_608, modules: 196 },
  { model: "mistral-7b", targets: "all-linear", rank: 32, a: 39_845_888, b: 44_040_192, modules: 224 },
] as const;

describe.each(models)(
  "G40: bytes per client and round, $model, rank $rank",
  ({ model, targets, rank, a, b, modules }) => {
    const adapted = referenceModules(model)
      .modules.filter(({ name }) => targets === "all-linear" || targets.some((end) => name.endsWith(`.${end}`)))
      .map((module) => ({ ...module, rank, alpha: rank, scaling: 1 }));
    const layout = adapterLayout({ modules: adapted, heads: [] });
    const vera = adapterLayout({ modules: adapted, heads: [], variant: "vera" });
    const bytes = (
      name: string,
      {
        list = layout,
        round = 1,
        ranks,
        ...spec
      }: Partial<RunSpecInput> & {
        list?: TensorLayout;
        round?: number;
        ranks?: ClientCapability["ranks"];
      } = {},
    ): ByteCount => {
      const method = compileOn(list, builtinMethods.get(name)!, {}, spec);
      const client = { clientId: "c", maxRank: undefined, ranks, directives: [], codecs: [] } as never;
      const state = method.initialState();
      return method.bytes(method.prepare(method.phase(state, round), state, client));
    };
    const both = (values: number, up = values): ByteCount => ({ down: 4 * values, up: 4 * up });

    test.each(["fedavg", "hetlora", "legend", "q-ffl"])("%s sends both factors, both ways", (name) => {
      expect(bytes(name)).toEqual(both(a + b));
    });

    test("half the width halves the way up, and the way down stays in float32", () => {
      expect(bytes("fedavg", { codec: "f16" })).toEqual({ down: 4 * (a + b), up: 2 * (a + b) });
      expect(bytes("ffa-lora", { codec: "bf16" })).toEqual({ down: 4 * b, up: 2 * b });
    });

    test("ffa-lora sends B alone, fedsa-lora A alone", () => {
      expect(bytes("ffa-lora")).toEqual(both(b));
      expect(bytes("fedsa-lora")).toEqual(both(a));
    });

    test("rolora sends one factor up and the other down", () => {
      expect(bytes("rolora", { round: 1 })).toEqual(both(a, b));
      expect(bytes("rolora", { round: 2 })).toEqual(both(b, a));
    });

    test("fedsa-lora with VeRA sends as many values per module as the rank", () => {
      const adapter = { rank, targetModules: "all-linear", variant: "vera" } as const;
      expect(bytes("fedsa-lora", { list: vera, adapter })).toEqual(both(modules * rank));
    });

    test("a client of half the rank sends half, one without the lower layers only what it holds", () => {
      const half = Object.fromEntries(adapted.map(({ name }) => [name, rank / 2]));
      const rankPlan = { kind: "capability" } as const;
      expect(bytes("hetlora", { rankPlan, ranks: half })).toEqual(both((a + b) / 2));
      expect(bytes("ffa-lora", { rankPlan, ranks: half })).toEqual(both(b / 2));
      const layers = Math.max(...adapted.map(({ layer }) => layer ?? 0)) + 1;
      const upper = Object.fromEntries(
        adapted.flatMap(({ name, layer }) => ((layer ?? 0) < layers / 2 ? [] : [[name, rank]])),
      );
      expect(bytes("legend", { rankPlan, ranks: upper })).toEqual(both(a + b, (a + b) / 2));
    });
  },
);
