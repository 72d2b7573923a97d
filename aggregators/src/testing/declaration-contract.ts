import { canonicalLayout, codecFamilies, codecOf, elementCount, itemSize, layoutOf } from "@fedlora/core";
import type { RunSpecInput, TensorLayout } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { filled } from "./round-fixture.js";
import type { RoundFixture } from "./round-fixture.js";

/** One codec of every family that this build has. */
const codecs = ["f32", "f16", "bf16", "int8:64", "topk:0.25"].filter((name) => codecFamilies.has(name.split(":")[0]!));

const bytesIn = (layout: TensorLayout): number =>
  layout.reduce((sum, { dtype, shape }) => sum + elementCount(shape) * itemSize[dtype], 0);

/** That a method's declarations agree with each other. */
export function describeDeclaration(fixture: RoundFixture, title: string): void {
  const { row, method, layout, zeros, state } = fixture;
  const { definition, options } = row;
  const { capabilities } = definition;
  const everyRank = row.ranks ?? [undefined];

  describe(`${title}: declaration`, () => {
    test("options are strict", () => {
      const withUnknown = { name: definition.name, options: { ...options, noSuchOption: 1 } };
      expect(() => fixture.compile({ method: withUnknown })).toThrow(
        expect.objectContaining({ code: "method-options-invalid", message: expect.stringContaining("noSuchOption") }),
      );
    });

    test("what it does not declare is refused when the run is created", () => {
      const adapter = { rank: 2, targetModules: ["query"], ...row.spec?.adapter };
      const asked: readonly (readonly [boolean, Partial<RunSpecInput>])[] = [
        [capabilities.ranks !== "equal", { rankPlan: { kind: "capability" } }],
        [capabilities.toleratesStale, { policy: { kind: "buffered", bufferSize: 2 } }],
        [capabilities.serverOptimizers, { serverOptimizer: { kind: "fedadam" } }],
        [capabilities.weightings.includes("by-examples"), { weighting: { kind: "by-examples" } }],
        [capabilities.weightings.includes("uniform"), { weighting: { kind: "uniform" } }],
        [capabilities.variants.includes("lora"), { adapter: { ...adapter, variant: "lora", rslora: false } }],
        [capabilities.variants.includes("rslora"), { adapter: { ...adapter, variant: "lora", rslora: true } }],
        [capabilities.variants.includes("latent"), { adapter: { ...adapter, variant: "latent" } }],
        [capabilities.variants.includes("vera"), { adapter: { ...adapter, variant: "vera" } }],
        ...codecs.map((name) => [capabilities.codecs.includes(codecOf(name).family), { codec: name }] as const),
      ];
      for (const [isDeclared, spec] of asked) {
        if (isDeclared) continue;
        expect(() => fixture.compile(spec), JSON.stringify(spec)).toThrow(
          expect.objectContaining({ code: "spec-combination-refused" }),
        );
      }
    });

    test("roles name every tensor of the adapter at full rank, control variates beside them", () => {
      const { roles, directives } = fixture.instruct();
      const specs = roles.map((role) => role.spec);
      const isControl = ({ name }: { name: string }): boolean => /^(server|client)_control\./.test(name);
      expect(specs.filter((spec) => !isControl(spec))).toEqual(layout);
      expect(specs.some(isControl)).toBe(directives.some(({ kind }) => kind === "control-variate"));
    });

    test("what is uploaded was trained, but for sketches and controls", () => {
      for (const ranks of everyRank) {
        const { roles, updateForm } = fixture.instruct(ranks);
        const untrained = roles.filter((role) => role.uploaded && !role.trained).map(({ spec }) => spec.name);
        if (updateForm === "delta" || updateForm === "value") {
          expect(untrained.filter((name) => !name.startsWith("client_control."))).toEqual([]);
        }
      }
    });

    test("roles of smaller ranks are blocks of the adapter's tensors, in canonical order", () => {
      const shapes = new Map(layout.map(({ name, shape }) => [name, shape]));
      for (const ranks of everyRank) {
        const specs = fixture.instruct(ranks).roles.map((role) => role.spec);
        expect(specs).toEqual(canonicalLayout(specs));
        for (const { name, shape } of specs) {
          const whole = shapes.get(name) ?? shape;
          expect(shape.length).toBe(whole.length);
          expect(shape.every((size, axis) => size >= 1 && size <= whole[axis]!)).toBe(true);
        }
      }
    });

    test.each(codecs.filter((name) => capabilities.codecs.includes(codecOf(name).family)))(
      "intake, bytes and download agree with the roles in codec %s",
      (codec) => {
        const coded = fixture.compile({ codec });
        for (const ranks of everyRank) {
          const instruction = fixture.instruct(ranks, coded);
          const rule = coded.intake(instruction, 3);
          const uploaded = instruction.roles.filter((role) => role.uploaded).map((role) => role.spec);
          const downloaded = instruction.roles.filter((role) => role.downloaded).map((role) => role.spec);
          const { down, up } = coded.bytes(instruction);

          expect(rule.layout).toEqual(fixture.encoded(uploaded, instruction.codec ?? codec));
          expect(rule.requiredBaseVersion).toBe(3);
          expect(up).toBe(bytesIn(rule.layout));
          if (row.except?.["download-bytes"] === undefined) {
            expect(down).toBe(bytesIn(fixture.encoded(downloaded, instruction.downloadCodec ?? "f32")));
          }
          expect(layoutOf(coded.projectFor(instruction, zeros, state))).toEqual(canonicalLayout(downloaded));
        }
      },
    );

    test("G36: a fresh update counts in full, a stale one only where the method says so", () => {
      const rule = method.intake(fixture.instruct(), 0);
      expect(rule.staleWeight(0)).toBe(1);
      const stale = rule.staleWeight(1);
      expect(stale > 0 && stale <= 1).toBe(capabilities.toleratesStale);
      if (capabilities.toleratesStale) expect(rule.staleWeight(3)).toBe(0.5);
    });

    test("state that stays on clients is declared, and is what the roles keep", () => {
      const kept = fixture.instruct().roles.filter(({ keep }) => keep === "run");
      const declared = method.clientState();
      expect(capabilities.personal).toBe(kept.some(({ uploaded }) => !uploaded));
      const names = kept.map(({ spec }) => spec.name);
      expect(declared?.scope === "run" ? declared.tensors.map(({ name }) => name) : []).toEqual(names);
    });

    test("G13: a bias that is measured is among the metrics, and zero for clients that agree", () => {
      if (method.bias.kind !== "measured") return;
      const isDamped = row.except?.["own-adapter"] !== undefined;
      const count = Math.max(2, fixture.minUpdates);
      for (const [start, change, allowed] of [
        [0, 0, 0],
        [0.25, 0.5, 1e-6],
      ] as const) {
        const list = Array.from({ length: count }, (_, k) => fixture.even(`plan-${k}`, 1 + k, change));
        const { metrics } = fixture.run(filled(layout, start), list);
        expect(metrics[method.bias.metric]).toBeLessThanOrEqual(isDamped && change !== 0 ? 1 : allowed);
      }
    });

    test("what it exports is plain LoRA; a method of personal models alone has nothing to export", () => {
      const forms = method.exports(state);
      expect(forms.length > 0).toBe(!capabilities.personal);
      const plain = forms.length === 0 ? [] : [...(method.toPlainLora?.(zeros, state) ?? zeros).keys()];
      expect(plain.filter((name) => /\.(lora_R\.weight|vera_lambda_[bd])$/.test(name))).toEqual([]);
    });
  });
}
