import { expect, test } from "vitest";
import { createAccountant } from "./accountant.js";

test.each(["rdp", "pld"] as const)(
  "the accountant %s is the one of that name, with its own default settings",
  (name) => {
    const accountant = createAccountant(name);
    const bound = accountant.epsilon([{ mechanism: { kind: "gaussian", noiseMultiplier: 1 }, count: 1 }], 1e-5);

    expect(accountant.name).toBe(name);
    // By mpmath: the exact epsilon is 4.37718, that at the best order of the grid of dp-accounting 4.72851.
    expect(bound.epsilon).toBeCloseTo({ rdp: 4.72851, pld: 4.37718 }[name], 4);
  },
);
