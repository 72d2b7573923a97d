import { adapterLayout, compileRunSpec, resolveAdapter, type ModelManifest, type RunSpec } from "@fedlora/core";
import { randomKey } from "@fedlora/core";
import { expect, test } from "vitest";
import { devicesSchema, measuredForwardShare } from "../scenario/device-schema.js";
import { DeviceFleet, stepMsAt } from "./profile.js";
import { StepDepth } from "./step-depth.js";

const layers = 30;
const manifest: ModelManifest = {
  format: "fedlora-model/1",
  name: "thirty",
  family: "llama",
  hash: "0".repeat(64) as ModelManifest["hash"],
  numLayers: layers,
  numParameters: 1,
  tensors: [],
  heads: [],
  modules: Array.from({ length: layers }, (_, layer) =>
    ["q_proj", "v_proj"].map((name) => {
      return { name: `layers.${layer}.${name}`, kind: "linear" as const, dIn: 16, dOut: 16, layer };
    }),
  ).flat(),
};
const engine = { name: "e", fingerprint: "f", directives: [] };

function specOf(targetModules: string | string[]): RunSpec {
  const adapter = { rank: 4, targetModules };
  const input = { name: "t", model: { hash: manifest.hash }, adapter, rounds: 1, cohort: { size: 1 } };
  return compileRunSpec({ ...input, task: { kind: "causal-lm" } }, { manifest });
}

/** Roles of a plan that trains the layers from `lowest` on, at a rank. */
function rolesOf(spec: RunSpec, lowest: number, rank: number) {
  return adapterLayout(resolveAdapter(spec.adapter, manifest, spec.task)).map(({ name, dtype, shape }) => {
    const layer = Number(/layers\.(\d+)/.exec(name)![1]);
    return { spec: { name, dtype, shape: shape.map((size) => (size === 4 ? rank : size)) }, trained: layer >= lowest };
  });
}

test("the depth of a plan is read from the tensors that it trains, its ranks too", () => {
  const spec = specOf(["q_proj", "v_proj"]);
  const depth = new StepDepth(spec, manifest);
  expect(depth.numLayers).toBe(30);
  expect(depth.trainedBy(rolesOf(spec, 0, 4))).toEqual({ depth: 30, reach: 1, minRank: 4, maxRank: 4, totalRank: 240 });
  const top = depth.trainedBy(rolesOf(spec, 29, 2));
  expect(top).toMatchObject({ depth: 1, minRank: 2, maxRank: 2, totalRank: 4 });
  expect(top.reach).toBeCloseTo(1 / 30, 12);
  expect(depth.trainedBy([])).toMatchObject({ depth: 0, reach: 0, totalRank: 0 });
});

test("an adapter of some layers costs the way down to the lowest of them", () => {
  const spec = specOf(String.raw`layers\.(20|29)\..*`);
  const depth = new StepDepth(spec, manifest);
  expect(depth.numLayers).toBe(2);
  expect(depth.trainedBy(rolesOf(spec, 25, 4))).toMatchObject({ depth: 1 });
  expect(depth.trainedBy(rolesOf(spec, 0, 4)).reach).toBeCloseTo(10 / 30, 12);
  expect(depth.fullReach).toBeCloseTo(10 / 30, 12);
});

test("steps cost what was measured: the top layer of 30 about 0.55 of the full step, the top half about 0.765", () => {
  const spec = specOf(["q_proj", "v_proj"]);
  const depth = new StepDepth(spec, manifest);
  const devices = devicesSchema.parse({ classes: [{ name: "a", stepMs: 1000 }] });
  const profile = new DeviceFleet(devices, randomKey(1), engine, { batchTokens: 64, depth }).profileOf(3);
  const stepMs = (lowest: number): number => stepMsAt(profile, depth.trainedBy(rolesOf(spec, lowest, 4)).reach);
  expect(stepMs(0)).toBe(1000);
  expect(Math.abs(stepMs(29) - 550)).toBeLessThan(10);
  expect(Math.abs(stepMs(15) - 765)).toBeLessThan(10);
  expect(stepMsAt(profile, 0)).toBe(1000 * measuredForwardShare);
});

test("what a device reports adds up to what its steps take, at every depth", () => {
  const devices = devicesSchema.parse({
    classes: [
      { name: "a", stepMs: 1000, forwardShare: 0.4, uploadBytesPerSecond: { mean: 1e6, std: 2e6, min: 1e6, max: 3e6 } },
    ],
    speedSpread: 0.5,
    stepMemory: { forwardBytes: 100, layerBytes: 10 },
  });
  const spec = specOf("all-linear");
  const depth = new StepDepth(spec, manifest);
  const fleet = new DeviceFleet(devices, randomKey(1), engine, { batchTokens: 64, depth });
  const profiles = Array.from({ length: 40 }, (_, client) => fleet.profileOf(client));
  for (const profile of profiles) {
    const { stepTimes, stepMs, deviceClass, uploadBytesPerSecond } = profile.capability;
    expect([deviceClass, stepMs, uploadBytesPerSecond]).toEqual(["a", profile.stepMs, profile.uploadBytesPerSecond]);
    expect(stepTimes).toMatchObject({ batchTokens: 64, forwardBytes: 100, layerBytes: 10, runId: undefined });
    for (const lowest of [0, 10, 29]) {
      const { depth: k, reach } = depth.trainedBy(rolesOf(spec, lowest, 4));
      expect(stepTimes!.forwardMs + k * stepTimes!.layerMs).toBeCloseTo(stepMsAt(profile, reach), 6);
    }
  }
  const rates = profiles.map(({ uploadBytesPerSecond }) => uploadBytesPerSecond);
  expect([Math.min(...rates), Math.max(...rates)]).toEqual([1e6, 3e6]);
  expect(new Set(rates).size).toBeGreaterThan(5);
});
