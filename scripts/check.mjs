// Every rule that a machine can check, in the order of how fast it fails. `.ci/run` and people run the same.
import { bin, node } from "./run.mjs";

const workspaces = [
  "core",
  "proto",
  "aggregators",
  "coordinator",
  "client-sdk",
  "simulations",
  "cli",
  "benchmarks",
  "examples",
];

const steps = [
  ["formatting", [bin("prettier"), "--check", "--log-level", "warn", "."]],
  ["generated protocol types", ["scripts/gen-proto.mjs", "--check"]],
  ["compiled kernels", ["scripts/gen-kernels.mjs", "--check"]],
  ["types", [bin("typescript", "tsc"), "-p", "tsconfig.check.json"]],
  ["build", [bin("typescript", "tsc"), "-b"]],
  ["generated documents", ["scripts/gen-reference.mjs", "--check"]],
  ["lint", [bin("eslint"), "--max-warnings", "0", "."]],
  ["import directions", [bin("dependency-cruiser", "depcruise"), ...workspaces, "--config", ".dependency-cruiser.cjs"]],
  ["production install of the coordinator", ["scripts/coordinator-size.mjs"]],
  ["coverage of the packages that run in one process", ["scripts/coverage.mjs"]],
];

for (const [name, args] of steps) {
  const begin = performance.now();
  const code = await node(args);
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  console.log(`${code === 0 ? "ok  " : "FAIL"} ${name} (${seconds} s)`);
  if (code !== 0) process.exit(code);
}
