import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { createProgram } from "../program.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-simulate-"));
  const scenario = {
    name: "small",
    data: { kind: "synthetic", examples: 100 },
    partition: { kind: "iid", clients: 4 },
    model: { kind: "linear" },
    run: {
      adapter: { rank: 2, targetModules: "all-linear" },
      rounds: 1,
      cohort: { size: 2 },
      training: { localSteps: 1, batchSize: 8, optimizer: { kind: "sgd" } },
    },
    variants: { "plain mean": {}, frozen: { method: { name: "ffa-lora" } } },
    claims: [
      { says: "Half is sent", metric: "bytesUp", of: "frozen", atMost: "plain mean", factor: 0.9 },
      { says: "It is perfect", metric: "accuracy", of: "frozen", atLeast: 1 },
    ],
  };
  await writeFile(join(folder, "small.json"), JSON.stringify(scenario));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** Runs a command in this process; what it printed. */
async function fedlora(command: string, ...args: string[]): Promise<string> {
  const printed: string[] = [];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => printed.push(String(text)) > 0);
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const flags = ["--workers", "0", "--out", join(folder, "out"), ...args];
  await createProgram("0.0.0").parseAsync([command, join(folder, "small.json"), ...flags], { from: "user" });
  return printed.join("");
}

test.each([
  [["--variant", "plain men"], "scenario-invalid", /there is no variant "plain men"; did you mean "plain mean"\?/],
  [["--seeds", "0,"], "config-invalid", /--seeds "" must be a whole number/],
  [["--seeds", "1,2,1"], "config-invalid", /--seeds "1,2,1" names a seed twice/],
  [["--workers", "two"], "config-invalid", /--workers "two" must be a whole number in \[0, 256\]/],
])("%s is refused", async (args, code, message) => {
  await expect(fedlora("simulate", ...args)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});

test("claims are printed, and decide the exit code only where they are asked to", async () => {
  expect(await fedlora("compare")).toMatch(/Claims: 1 of 2 kept\n +kept +Half is sent\n.*\n +not kept +It is perfect/);
  expect(process.exitCode).toBeUndefined();
  const { claims } = JSON.parse(await fedlora("compare", "--strict-claims", "--json")) as {
    claims: { outcome: string }[];
  };
  expect(claims.map(({ outcome }) => outcome)).toEqual(["kept", "not kept"]);
  expect(process.exitCode).toBe(1);
});
