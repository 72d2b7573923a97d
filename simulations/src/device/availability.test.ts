import { randomKey } from "@fedlora/core";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { devicesSchema } from "../scenario/device-schema.js";
import { openAvailability, type Availability } from "./availability.js";

const open = (spec: object, folder = "."): Promise<Availability> =>
  openAvailability(devicesSchema.parse(spec), randomKey(1), folder);
const shareOn = (availability: Availability, client: number, untilMs: number): number => {
  const times = Array.from({ length: 2000 }, (_, i) => (i * untilMs) / 2000);
  return times.filter((at) => availability.isOn(client, at)).length / times.length;
};

test("always is always", async () => {
  const availability = await open({});
  expect([availability.isOn(7, 1e12), availability.offAt(7, 5)]).toEqual([true, Number.POSITIVE_INFINITY]);
});

test("a cycle is on for its share of the time, each client in a phase of its own, until it says so", async () => {
  const availability = await open({ availability: { kind: "cycle", onMs: 3000, offMs: 1000 } });
  const shares = Array.from({ length: 40 }, (_, client) => shareOn(availability, client, 1e6));
  expect(shares.reduce((a, b) => a + b, 0) / 40).toBeCloseTo(0.75, 1);
  expect(new Set(shares).size).toBeGreaterThan(20);
  for (let client = 0; client < 20; client += 1) {
    if (!availability.isOn(client, 5000)) continue;
    const off = availability.offAt(client, 5000);
    expect([availability.isOn(client, off - 0.01), availability.isOn(client, off + 0.01)]).toEqual([true, false]);
  }
});

test("with churn clients come once and leave for good", async () => {
  const availability = await open({ churn: { arriveOverMs: 1000, stayMs: 5000 } });
  const present = (at: number): number =>
    Array.from({ length: 300 }, (_, client) => availability.isOn(client, at)).filter(Boolean).length;
  expect(present(0)).toBe(0);
  expect(present(1000)).toBeGreaterThan(present(10_000));
  expect(present(1e6)).toBe(0);
});

test("a trace is followed, line by client, and begins again", async () => {
  const folder = mkdtempSync(join(tmpdir(), "fedlora-trace-"));
  writeFileSync(join(folder, "t.jsonl"), '{"periodMs":100,"on":[[10,20],[50,90]]}\n{"periodMs":10,"on":[[0,10]]}\n');
  const availability = await open({ availability: { kind: "trace", path: "t.jsonl" } }, folder);
  expect([5, 15, 30, 60, 95, 115, 160].map((at) => availability.isOn(2, at))).toEqual([
    ...[false, true, false, true, false, true, true],
  ]);
  expect(availability.offAt(0, 160)).toBe(190);
  writeFileSync(join(folder, "bad.jsonl"), '{"periodMs":100,"on":[[20,10]]}\n');
  await expect(open({ availability: { kind: "trace", path: "bad.jsonl" } }, folder)).rejects.toMatchObject({
    code: "data-invalid",
    message: expect.stringMatching(/bad\.jsonl:1 must be/),
  });
  await expect(open({ availability: { kind: "trace", path: "none" } }, folder)).rejects.toMatchObject({
    code: "file-missing",
  });
  rmSync(folder, { recursive: true });
});
