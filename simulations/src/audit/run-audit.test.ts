import { openTinyWorkbench, type TinyWorkbench } from "@fedlora/client-sdk/testing";
import {
  compileRunSpec,
  gaussianEpsilon,
  RandomStream,
  randomKey,
  type PlanPrivacy,
  type RunSpec,
} from "@fedlora/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { auditText } from "./audit-report.js";
import { runAudit, type AuditRow, type AuditScale } from "./run-audit.js";

let workbench: TinyWorkbench;
beforeAll(async () => {
  workbench = await openTinyWorkbench("bert");
});
afterAll(() => workbench.remove());

const words = "red blue green slow fast old new cold warm high low near far open shut left right first last".split(" ");
const labels = ["no", "maybe", "yes"];
const stream = new RandomStream(randomKey(7));
const examples = Array.from({ length: 400 }, () => ({
  text: Array.from({ length: 6 }, () => words[stream.integer(words.length)]).join(" "),
  label: labels[stream.integer(3)]!,
}));
// The tiny model has few parameters: more candidates than these would not have gradients of their own.
const scale: AuditScale = { candidates: 24, runs: 4, clients: 12, sizes: [4, 48] };
const delta = 1e-3;
const shared = { clipNorm: 1, delta };

function specOf(method: string): RunSpec {
  return compileRunSpec({
    name: "audit",
    model: { hash: workbench.baseModel.manifest.hash },
    task: workbench.task,
    adapter: { rank: 4, targetModules: "all-linear" },
    method: { name: method },
    rounds: 1,
    cohort: { size: 4 },
    training: { localSteps: 12, batchSize: 4, optimizer: { kind: "sgd", learningRate: 0.003 }, maxGradNorm: null },
  });
}

const audit = (
  method: string,
  settings: Readonly<Record<string, PlanPrivacy | undefined>>,
): Promise<readonly AuditRow[]> =>
  runAudit({
    trainer: workbench.trainer,
    manifest: workbench.baseModel.manifest,
    spec: specOf(method),
    settings: Object.entries(settings).map(([name, privacy]) => ({ name, privacy })),
    examples,
    scale,
    seed: 3,
    signal: new AbortController().signal,
  });

describe("uploads", () => {
  let rows: readonly AuditRow[];
  beforeAll(async () => {
    rows = await audit("ffa-lora", {
      plain: undefined,
      example: { mode: "example", ...shared, noiseMultiplier: 4, clipping: "flat", minExamples: 4 },
      local: { mode: "local", ...shared, noiseMultiplier: 2 },
    });
  }, 60_000);

  test("give members and the number of examples away without noise", () => {
    const [plain] = rows;
    expect(plain).toMatchObject({ epsilon: null, delta: null });
    expect(plain!.auc).toBeGreaterThan(0.8);
    expect(plain!.truePositiveRate).toBeGreaterThan(0.1);
    expect(plain!.epsilonAtLeast).toBeGreaterThan(1);
    expect(plain!.sizeError).toBeLessThan(0.75 * plain!.sizeErrorOfGuess);
  });

  test("give neither away under noise", () => {
    for (const row of rows.slice(1)) {
      // Chance is 0.5 with a standard error of 0.06: 4 runs of 24 candidates.
      expect(Math.abs(row.auc - 0.5)).toBeLessThan(0.17);
      expect(row.epsilonAtLeast).toBeLessThanOrEqual(row.epsilon!);
      expect(row.sizeError).toBeGreaterThan(0.7 * row.sizeErrorOfGuess);
    }
  });

  test("are told as a table", () => {
    const [, example] = rows;
    expect(auditText(rows)).toMatch(/plain .* none/);
    expect(auditText(rows)).toContain(`${example!.epsilon!.toFixed(2)} (delta 0.001)`);
  });
});

test("noise on the whole update promises what one Gaussian release does", async () => {
  const [row] = await audit("fedavg", { local: { mode: "local", ...shared, noiseMultiplier: 2 } });
  expect(row!.epsilon! / gaussianEpsilon(2, delta)).toBeGreaterThan(0.999);
  expect(row!.epsilon! / gaussianEpsilon(2, delta)).toBeLessThan(1.2);
});

test("the same seed gives the same rows", async () => {
  const settings = { local: { mode: "local", ...shared, noiseMultiplier: 0.1 } } as const;
  expect(await audit("fedavg", settings)).toEqual(await audit("fedavg", settings));
});

test("too few examples are refused", async () => {
  const options = {
    ...{ trainer: workbench.trainer, manifest: workbench.baseModel.manifest, spec: specOf("fedavg"), settings: [] },
    ...{ examples: examples.slice(0, 50), scale, seed: 0, signal: new AbortController().signal },
  };
  await expect(runAudit(options)).rejects.toThrow(/needs 245 examples, got 50/);
});
