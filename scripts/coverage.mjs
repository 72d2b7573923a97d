// Unit tests of the packages that run in the test's own process, with coverage and its bars. The client's engine works in
// processes of its own, which the coverage of this one cannot see.
import { bin, node } from "./run.mjs";

const packages = ["core", "proto", "aggregators", "coordinator"];
const bars = { lines: 95, functions: 94, branches: 82 };

process.exitCode = await node([
  bin("vitest"),
  "run",
  "--coverage",
  "--coverage.reporter=text-summary",
  "--reporter=default",
  ...packages.flatMap((name) => [`--project=${name}`, `--coverage.include=${name}/src/**/*.ts`]),
  ...Object.entries(bars).map(([name, bar]) => `--coverage.thresholds.${name}=${bar}`),
]);
