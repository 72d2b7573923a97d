import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { PrivacyPlan } from "../privacy/plan-privacy.js";
import { createProgram } from "../program.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-privacy-command-"));
});
afterAll(() => rm(folder, { recursive: true }));

const privacy = { mode: "example", noiseMultiplier: 1.5, delta: 1e-5, clipNorm: 1, minExamples: 1000 };
const spec = {
  name: "private",
  model: { hash: "0".repeat(64) },
  task: { kind: "causal-lm" },
  adapter: { rank: 8, targetModules: ["query", "value"] },
  rounds: 10,
  cohort: { size: 4 },
  training: { localSteps: 225, batchSize: 40 },
  privacy,
};

/** What the command prints. */
async function run(...args: string[]): Promise<string> {
  let printed = "";
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  try {
    const program = createProgram("0.0.0").exitOverride();
    await program.parseAsync(["node", "fedlora", "privacy", ...args]);
  } finally {
    write.mockRestore();
  }
  return printed;
}

async function plan(changes: Record<string, unknown> = {}, ...more: string[]): Promise<PrivacyPlan> {
  return JSON.parse(await run("plan", await specFile(changes), "--json", ...more)) as PrivacyPlan;
}

async function specFile(changes: Record<string, unknown> = {}): Promise<string> {
  const file = join(folder, "run.json");
  await writeFile(file, JSON.stringify({ ...spec, ...changes }));
  return file;
}

describe("fedlora privacy plan", () => {
  test("prints epsilon by rounds and noise by epsilon: Opacus' figures for 2,250 steps at rate 0.04", async () => {
    const { epsilonByRounds, noiseByRounds, samplingRate, releasesPerRound } = await plan({}, "--epsilons", "8");
    expect({ samplingRate, releasesPerRound }).toEqual({ samplingRate: 0.04, releasesPerRound: 225 });
    expect(epsilonByRounds.map(({ rounds }) => rounds)).toEqual([1, 2, 5, 10, 20]);
    const own = epsilonByRounds.find(({ rounds }) => rounds === 10)!;
    expect(own.rdp).toBeCloseTo(7.32911117143, 5);
    // Opacus' PRV bound of 2,249 steps is 6.7774, within 0.01.
    expect(own.pld).toBeGreaterThan(6.765);
    expect(own.pld).toBeLessThan(6.79);
    const [noise] = noiseByRounds.find(({ rounds }) => rounds === 10)!.noiseMultipliers;
    expect(noise!).toBeLessThan(1.416015625 + 1e-3);
    expect(noise!).toBeGreaterThan(1.416015625 - 0.01);
  }, 120_000);

  test("a budget says how many rounds it pays for", async () => {
    const { affordableRounds, isNoiseSolved, warnings } = await plan({
      privacy: { ...privacy, epsilon: 5, accountant: "rdp" },
      rounds: 6,
    });
    // dp-accounting: epsilon 4.980 after 5 rounds, 5.504 after 6.
    expect(affordableRounds).toBe(5);
    expect({ isNoiseSolved, warnings }).toEqual({ isNoiseSolved: false, warnings: [] });
  }, 120_000);

  test("noise left out is solved; a delta above one over the number of examples is warned of", async () => {
    const { noiseMultiplier, affordableRounds, warnings } = await plan({
      privacy: { ...privacy, noiseMultiplier: undefined, epsilon: 8, delta: 0.01, accountant: "rdp" },
    });
    expect(noiseMultiplier).toBeLessThan(1.41);
    expect(affordableRounds).toBe(10);
    expect(warnings).toEqual([expect.stringMatching(/delta 0.01 is above 1 \/ 1000/)]);
  });

  test("with a model it names the quieter method", async () => {
    const short = { training: { localSteps: 2, batchSize: 40 }, rounds: 2 };
    const { noise } = await plan(short, "--model", "minilm-l6");
    expect(noise).toMatchObject({ chosen: { method: "fedavg" }, better: { method: "fed-sb" } });
    expect(await run("plan", await specFile(short), "--model", "minilm-l6")).toMatch(
      /Better: fed-sb leaves \d+\.\d times less noise .* up to rank 32\./,
    );
  });

  test.each([
    ["a run without privacy", { privacy: { mode: "none" } }, /has no privacy to plan/],
    [
      "a mode that there is not",
      { privacy: { ...privacy, mode: "sample" } },
      /allowed are none, example, client, local/,
    ],
    [
      "an initialisation from private data",
      {
        privacy,
        method: { name: "fed-sb" },
        adapter: { ...spec.adapter, variant: "latent", init: { kind: "gradient" } },
      },
      /adapter\.init\.kind .*release sketches/,
    ],
    ["a budget below one round", { privacy: { ...privacy, epsilon: 0.1 } }, /one round alone costs/],
  ])("%s is refused", async (_what, changes, message) => {
    await expect(run("plan", await specFile(changes))).rejects.toThrow(message);
  });

  test("a model that there is not is told with the nearest name", async () => {
    await expect(run("plan", await specFile(), "--model", "minilm-l7")).rejects.toThrow(/did you mean "minilm-l6"/);
  });
});

describe("fedlora privacy ledger", () => {
  test("an empty state folder has released nothing", async () => {
    expect(await run("ledger", folder)).toBe("nothing has been released from this state folder\n");
    expect(JSON.parse(await run("ledger", folder, "--json", "--delta", "1e-6"))).toEqual({ delta: 1e-6, dataSets: [] });
  });

  test("a folder that is not there is told", async () => {
    await expect(run("ledger", join(folder, "elsewhere"))).rejects.toThrow(/does not exist/);
  });
});

test("an audit of one's own run needs a model and data", async () => {
  await expect(run("audit", await specFile())).rejects.toThrow(/--model and --data/);
});
