import { readSafetensors } from "@fedlora/core";
import type { BlobId, RoundPlan } from "@fedlora/core";
import { expect, test } from "vitest";

import { ClockedFederation } from "../testing/clocked-federation.js";

/** The kinds of tensors in a plan's blobs beside the download, by blob. */
async function kindsOf({ storage: { blobs } }: ClockedFederation, plan: RoundPlan): Promise<Map<BlobId, string[]>> {
  const kinds = new Map<BlobId, string[]>();
  for (const id of plan.frozen) {
    const { tensors } = readSafetensors(await blobs.read(id, 0, await blobs.size(id)));
    kinds.set(id, [...new Set([...tensors.keys()].map((name) => name.split(".").at(-2) ?? ""))]);
  }
  return kinds;
}

async function firstPlans(method: string, rounds: number): Promise<Map<BlobId, string[]>[]> {
  const changes = { method: { name: method }, rounds, evaluation: { every: 0 } };
  const federation = await new ClockedFederation().start(["ann", "bob"], changes);
  const seen: Map<BlobId, string[]>[] = [];
  for (let round = 1; round <= rounds; round++) {
    const [ann, bob] = await federation.plans("ann", "bob");
    seen.push(await kindsOf(federation, ann!));
    await federation.client("ann").work(ann!);
    await federation.client("bob").work(bob!);
  }
  return seen;
}

test("a frozen factor is one blob, the same in every round", async () => {
  const [first, ...others] = await firstPlans("ffa-lora", 3);
  expect([...first!.values()]).toEqual([["lora_A"]]);
  for (const other of others) expect(other).toEqual(first);
});

test("factors that are trained by turns are a blob each, and from round to round only the one that was trained changes", async () => {
  const rounds = await firstPlans("rolora", 3);
  const blobOf = (round: number, factor: string): BlobId | undefined =>
    [...rounds[round - 1]!].find(([, kinds]) => kinds.includes(factor))?.[0];
  expect(rounds.map((blobs) => [...blobs.values()])).toEqual(rounds.map(() => [["lora_A"], ["lora_B"]]));
  expect(blobOf(2, "lora_A")).toBe(blobOf(1, "lora_A"));
  expect(blobOf(2, "lora_B")).not.toBe(blobOf(1, "lora_B"));
  expect(blobOf(3, "lora_B")).toBe(blobOf(2, "lora_B"));
  expect(blobOf(3, "lora_A")).not.toBe(blobOf(2, "lora_A"));
});
