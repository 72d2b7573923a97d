import { expect, test } from "vitest";
import { loadData } from "../data/load-data.js";
import { linearManifest } from "../linear/linear-model.js";
import { openLinearRoom } from "../linear/open-linear-room.js";
import { parseScenario } from "../scenario/parse-scenario.js";
import { variantSpec } from "../scenario/variant-spec.js";
import type { RoundRow } from "./round-row.js";
import { simulateRun } from "./simulate-run.js";

const [features, labels, rank, clients] = [400, 6, 3, 4];
const signal = new AbortController().signal;
/** The bias of the logits, a saved head. */
const head = labels;
const factors = rank * (features + labels);
const dense = features * labels;
/** Beside its values a first download has the plan's instructions, and headers of more files; in bytes. */
const maxFirst = 2000;

async function roundsOf(method: string, adapter: object = {}): Promise<readonly RoundRow[]> {
  const scenario = parseScenario(
    JSON.stringify({
      name: "bytes",
      data: { kind: "synthetic", examples: 200, features, labels },
      partition: { kind: "iid", clients },
      model: { kind: "linear" },
      testEvery: 0,
      run: {
        method: { name: method },
        adapter: { rank, targetModules: "all-linear", ...adapter },
        rounds: 3,
        cohort: { size: clients },
        training: { localSteps: 5, batchSize: 8 },
      },
    }),
  );
  const manifest = linearManifest(features, labels);
  const data = await loadData(scenario.data, ".");
  const spec = variantSpec(scenario, "run", 0, manifest, data.labels);
  const room = await openLinearRoom(data, manifest, 0);
  const run = await simulateRun({ scenario, folder: ".", variant: "run", seed: 0, spec, manifest, data, room, signal });
  return run.rounds;
}

/**
 * Values per client: in each upload and download, once with the first download, and of the base weights' change in each later one.
 * `headers` are those of the files of an upload and of a later download, in bytes.
 */
test.each([
  { method: "fedavg", headers: [336, 288] as const, up: factors + head, once: 0, delta: 0 },
  {
    method: "fedex-lora",
    headers: [336, 392] as const,
    up: factors + head,
    once: 0,
    delta: Math.min((clients - 1) * factors, dense),
  },
  {
    method: "flora",
    headers: [336, 392] as const,
    up: factors + head,
    once: 0,
    delta: Math.min(clients * factors, dense),
  },
  { method: "ffa-lora", headers: [312, 192] as const, up: rank * labels + head, once: rank * features, delta: 0 },
  // B and the head, which each client keeps, begin with the first download.
  { method: "fedsa-lora", headers: [296, 112] as const, up: rank * features, once: rank * labels + head, delta: 0 },
  {
    method: "fed-sb",
    headers: [376, 192] as const,
    up: rank ** 2 + head,
    once: factors,
    delta: 0,
    adapter: { variant: "latent" },
  },
])("$method moves what its closed form says, and headers", async ({ method, headers, up, once, delta, adapter }) => {
  const rounds = await roundsOf(method, adapter);

  const [headerUp, headerDown] = headers;
  rounds.forEach(({ bytesUp, bytesDown, accepted }, index) => {
    expect(accepted).toBe(clients);
    expect(bytesUp / clients).toBe(4 * up + headerUp);
    if (index === 0) {
      const overhead = bytesDown / clients - 4 * (up + once);
      expect(overhead).toBeGreaterThan(headerDown);
      expect(overhead).toBeLessThan(maxFirst);
      return;
    }
    // Its warm-up held A in round 1, so that clients have the global one already.
    const isHeld = method === "fedsa-lora" && index === 1;
    expect(bytesDown / clients).toBe(isHeld ? 0 : 4 * (up + delta) + headerDown);
  });
});
