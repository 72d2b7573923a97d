import { FedLoraError, blobIdOf, planInstructionsBytes, type PlanInstructions } from "@fedlora/core";
import { expect, test } from "vitest";
import { fakeInstructions, fakeRole } from "../testing/fake-plan.js";
import { instructionsOf } from "./recent-instructions.js";

test("instructions of one id are parsed once, those of others by themselves, and old ones are forgotten", () => {
  const blobOf = (seed: number): [ReturnType<typeof blobIdOf>, Uint8Array, PlanInstructions] => {
    const instructions = fakeInstructions([fakeRole("a", [2, 3])], { seed });
    const bytes = planInstructionsBytes(instructions);
    return [blobIdOf(bytes), bytes, instructions];
  };
  const [id, bytes, expected] = blobOf(1);

  const first = instructionsOf(id, bytes);

  expect(first).toEqual(expected);
  expect(instructionsOf(id, bytes)).toBe(first);
  for (let seed = 2; seed < 10; seed += 1) {
    const [otherId, otherBytes, other] = blobOf(seed);
    expect(instructionsOf(otherId, otherBytes)).toEqual(other);
  }
  expect(instructionsOf(id, bytes)).not.toBe(first);
});

test("what is wrong is refused every time", () => {
  const bytes = new TextEncoder().encode("{}");
  for (let i = 0; i < 2; i += 1) expect(() => instructionsOf(blobIdOf(bytes), bytes)).toThrow(FedLoraError);
});
