// The tests of one target alone, without those that are too slow to run for each mutant.
import { defineConfig } from "vitest/config";
import { slowTests, targets } from "./targets.mjs";

const target = targets.find(({ name }) => name === process.env.MUTATION_TARGET);
const resolve = { conditions: ["@fedlora/source"] };

export default defineConfig({
  resolve,
  ssr: { resolve },
  test: {
    root: process.cwd(),
    include: target?.tests ?? [],
    exclude: ["**/node_modules/**", ...slowTests],
    setupFiles: ["tests/property-seed.ts"],
    testTimeout: 60_000,
  },
});
