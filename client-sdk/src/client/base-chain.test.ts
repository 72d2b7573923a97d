import type { BaseDeltaLink, BlobId } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { type BaseChainLink, findBaseDeltas, joinBaseChain } from "./base-chain.js";

const id = (to: number): BlobId => to.toString(16).padStart(64, "0") as BlobId;
const link = (fromVersion: number, toVersion = fromVersion + 1): BaseChainLink => ({
  fromVersion,
  toVersion,
  blob: id(toVersion),
  size: 10 * toVersion,
});
const wire = ({ fromVersion, toVersion, blob }: BaseChainLink): BaseDeltaLink => ({ fromVersion, toVersion, blob });
const join = (known: readonly BaseChainLink[], baseVersion: number, given: readonly BaseChainLink[]) =>
  joinBaseChain(
    known,
    { baseVersion, baseDeltas: given.map(wire) },
    Object.fromEntries(given.map(({ blob, size }) => [blob, size])),
  );

describe("the whole chain", () => {
  test.each([
    ["from the plan alone", [], [link(0), link(1)]],
    ["from the plan, whatever was known", [link(0), link(1)], [link(0), link(1)]],
    ["by going on from what is known", [link(0)], [link(1)]],
    ["of what is known alone", [link(0), link(1)], []],
    ["by going on from an earlier version than is known", [link(0), link(1)], [link(1)]],
  ])("%s", (_, known, given) => {
    expect(join(known, 2, given)).toEqual([link(0), link(1)]);
  });

  test("may skip versions, and is empty for the base as downloaded", () => {
    expect(join([], 5, [link(0, 3), link(3, 5)])).toEqual([link(0, 3), link(3, 5)]);
    expect(join([link(0), link(1)], 4, [link(0, 3), link(3)])).toEqual([link(0, 3), link(3)]);
    expect(joinBaseChain([link(0)], { baseVersion: 0 }, {})).toEqual([]);
  });

  test.each([
    ["a gap", [], 3, [link(0), link(2)], /from version 2 to 3 where 1 is reached/u],
    ["the wrong end", [], 3, [link(0), link(1)], /lead to version 2, it asks for 3/u],
    ["the wrong order", [], 2, [link(1), link(0)], /lead on from version 1, this client holds 0/u],
    ["a step back", [], 1, [link(0, 2), link(2, 1)], /from version 2 to 1/u],
    ["a beginning that is not known", [link(0)], 4, [link(2), link(3)], /from version 2, this client holds 1/u],
    ["a beginning within a known step", [link(0, 3)], 4, [link(2), link(3)], /from version 2, this client holds 3/u],
    ["nothing where nothing is known", [], 2, [], /from version 2, this client holds 0/u],
    ["deltas for version 0", [], 0, [link(0)], /lead to version 1, it asks for 0/u],
  ])("with %s is refused", (_, known, baseVersion, given, message) => {
    expect(() => join(known, baseVersion, given)).toThrow(message);
  });

  test("with a blob of unknown size is refused", () => {
    expect(() => joinBaseChain([], { baseVersion: 1, baseDeltas: [wire(link(0))] }, {})).toThrow(/how large/u);
  });
});

test("only what is not merged already is fetched", async () => {
  const fetched: string[] = [];
  const trainer = { heldBaseDeltas: () => Promise.resolve(2) };

  const deltas = await findBaseDeltas([link(0), link(1), link(2)], trainer, (blob) => {
    fetched.push(`${blob.id} ${blob.size}`);
    return Promise.resolve("/a/file");
  });

  expect(deltas.map(({ source }) => source)).toEqual([undefined, undefined, "/a/file"]);
  expect(fetched).toEqual([`${id(3)} 30`]);
  await expect(findBaseDeltas([link(0)], {}, () => Promise.resolve(""))).rejects.toMatchObject({
    code: "directive-unknown",
  });
});
