// `npm run verify:long`: the checks that take too long for every change. Run them before a release; mutation testing keeps
// its output in docs/benchmarks.
import { bin, node } from "./run.mjs";

// By name: arguments of Node, and what is added to the environment.
const steps = [
  [
    "properties with examples of their own",
    [bin("vitest"), "run", "--project=!tests"],
    { FEDLORA_PROPERTY_SEED: "random" },
  ],
  ["mutation testing", ["scripts/mutation/run.mjs"], {}],
];

let failed = false;
for (const [name, args, env] of steps) {
  const begin = performance.now();
  const code = await node(args, { env: { ...process.env, ...env } });
  const minutes = ((performance.now() - begin) / 60_000).toFixed(1);
  console.log(`${code === 0 ? "ok  " : "FAIL"} ${name} (${minutes} min)`);
  failed ||= code !== 0;
}
process.exitCode = failed ? 1 : 0;
