// The tests of one target alone, without those that are too slow to run for each mutant.
import { statSync } from "node:fs";
import { defineConfig } from "vitest/config";
import { BaseSequencer } from "vitest/node";
import { slowTests, targets } from "./targets.mjs";

const target = targets.find(({ name }) => name === process.env.MUTATION_TARGET);
const resolve = { conditions: ["@fedlora/source"] };

/** A mutant's tests end at the first that fails: small files, which are the quick ones, come before those that train models. */
class SmallestFirst extends BaseSequencer {
  async sort(files) {
    return files.toSorted((a, b) => statSync(a.moduleId).size - statSync(b.moduleId).size);
  }
}

export default defineConfig({
  resolve,
  ssr: { resolve },
  test: {
    root: process.cwd(),
    include: target?.tests ?? [],
    exclude: ["**/node_modules/**", ...slowTests],
    setupFiles: ["tests/property-seed.ts", "scripts/mutation/setup.mjs"],
    sequence: { sequencer: SmallestFirst },
    // A fresh worker for each test file would take longer than most of the tests.
    isolate: false,
    testTimeout: 60_000,
  },
});
