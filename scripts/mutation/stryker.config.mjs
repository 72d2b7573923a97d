// One target of targets.mjs, named by MUTATION_TARGET; a JSON report goes to MUTATION_REPORT.
import { targets } from "./targets.mjs";

const target = targets.find(({ name }) => name === process.env.MUTATION_TARGET);
if (target === undefined)
  throw new Error(`MUTATION_TARGET must be one of ${targets.map(({ name }) => name).join(", ")}`);

export default {
  testRunner: "vitest",
  vitest: { configFile: "scripts/mutation/vitest.config.mjs", related: false },
  mutate: [target.mutate, "!**/*.test.ts", "!**/testing/**"],
  coverageAnalysis: "perTest",
  // Code that runs once when a module loads would need a fresh process for each of its mutants.
  ignoreStatic: true,
  concurrency: Number(process.env.MUTATION_CONCURRENCY ?? 1),
  timeoutMS: 10_000,
  timeoutFactor: 2,
  disableTypeChecks: false,
  tempDirName: ".stryker-tmp",
  reporters: ["progress-append-only", "clear-text", "json"],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false, reportScoreTable: false },
  jsonReporter: { fileName: process.env.MUTATION_REPORT },
  allowConsoleColors: false,
};
