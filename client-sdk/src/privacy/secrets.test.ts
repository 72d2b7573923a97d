import { expect, test } from "vitest";
import { seededSecrets, systemSecrets } from "./secrets.js";

test("the system's keys are 32 bytes that never come again", () => {
  const keys = Array.from({ length: 20 }, () => systemSecrets.next());

  expect(keys.every((key) => key.byteLength === 32)).toBe(true);
  expect(new Set(keys.map(String)).size).toBe(20);
  expect(systemSecrets.isSecret).toBe(true);
});

test("a seed's keys are the same every time, differ from each other and from another seed's, and are no secret", () => {
  const keysOf = (seed: number): string[] => {
    const secrets = seededSecrets(seed);
    expect(secrets.isSecret).toBe(false);
    return Array.from({ length: 20 }, () => String(secrets.next()));
  };

  expect(keysOf(1)).toEqual(keysOf(1));
  expect(new Set([...keysOf(1), ...keysOf(2), ...keysOf(2 ** 53 - 1)]).size).toBe(60);
});
