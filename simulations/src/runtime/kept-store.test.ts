import { fromFloat32, type StateDict } from "@fedlora/core";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { KeptStore, type KeptTensors } from "./kept-store.js";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "fedlora-kept-"))));
afterEach(() => rmSync(folder, { recursive: true }));

const state = (value: number): StateDict =>
  new Map([["lora/x", fromFloat32(new Float32Array(256).fill(value), [256])]]);
const kept = (value: number, changes: Partial<KeptTensors> = {}): KeptTensors => ({
  trained: state(value),
  round: value,
  optimizer: undefined,
  residual: undefined,
  ...changes,
});

test("beyond its bound the store files the oldest, and gives back what was put in", () => {
  const store = new KeptStore(folder, 3 * 1024);
  for (let client = 0; client < 10; client += 1) store.set(client, kept(client));
  expect(store.memoryBytes).toBeLessThanOrEqual(3 * 1024);
  expect(readdirSync(folder)).toHaveLength(7);
  for (let client = 0; client < 10; client += 1) expect(store.get(client)).toEqual(kept(client));
  expect(store.get(10)).toBeUndefined();
});

test("the newest counts, whatever was filed before", () => {
  const store = new KeptStore(folder, 1024);
  store.set(0, kept(1));
  store.set(1, kept(2));
  store.set(0, kept(3));
  store.set(2, kept(4));
  expect(store.get(0)).toEqual(kept(3));
});

test("all parts are filed, empty ones as such", () => {
  const store = new KeptStore(folder, 0);
  const all = kept(1, { optimizer: state(2), residual: new Map() });
  store.set(0, all);
  expect(store.get(0)).toEqual(all);
});
