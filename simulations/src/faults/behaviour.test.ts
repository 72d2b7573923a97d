import { randomKey } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { Behaviours } from "./behaviour.js";

const flip = { kind: "sign-flip", share: 0.2, prob: 1, factor: 1 } as const;
const lost = { kind: "lost", share: 0.5, prob: 0.5 } as const;
const clients = Array.from({ length: 30 }, (_, client) => client);
const who = (behaviours: Behaviours, kind: "sign-flip" | "lost"): number[] =>
  clients.filter((client) => behaviours.of(client).has(kind));

describe("who misbehaves", () => {
  test("is as many as the share says, others for another seed, the same ones again", () => {
    const chosen = [1, 2, 3].map((seed) => who(new Behaviours([flip], randomKey(seed), 30), "sign-flip"));
    expect(chosen.map(({ length }) => length)).toEqual([6, 6, 6]);
    expect(new Set(chosen.map(String)).size).toBe(3);
    expect(who(new Behaviours([flip], randomKey(1), 30), "sign-flip")).toEqual(chosen[0]);
  });

  test("is somebody, however small the share", () => {
    expect(who(new Behaviours([{ ...flip, share: 0.001 }], randomKey(1), 30), "sign-flip")).toHaveLength(1);
  });

  test("is drawn for each entry by itself, and a client may do several", () => {
    const behaviours = new Behaviours([flip, lost], randomKey(1), 30);
    expect(who(behaviours, "lost")).toHaveLength(15);
    expect(clients.some((client) => behaviours.of(client).size === 2)).toBe(true);
    expect(clients.some((client) => behaviours.of(client).size === 0)).toBe(true);
  });

  test("does it to a share of its updates where it has a probability", () => {
    const behaviours = new Behaviours([lost], randomKey(1), 30);
    const [client] = who(behaviours, "lost");
    const rounds = Array.from({ length: 400 }, (_, round) => round);
    const hits = rounds.filter((round) => behaviours.happens(behaviours.of(client!), "lost", client!, round));
    expect(hits.length).toBeGreaterThan(150);
    expect(hits.length).toBeLessThan(250);
  });
});
