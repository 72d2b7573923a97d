// `npm run verify:long`: the checks that take too long for every change. Run them before a release; each keeps its output
// in docs/benchmarks.
import { node } from "./run.mjs";

const steps = [["mutation testing", ["scripts/mutation/run.mjs"]]];

let failed = false;
for (const [name, args] of steps) {
  const begin = performance.now();
  const code = await node(args);
  const minutes = ((performance.now() - begin) / 60_000).toFixed(1);
  console.log(`${code === 0 ? "ok  " : "FAIL"} ${name} (${minutes} min)`);
  failed ||= code !== 0;
}
process.exitCode = failed ? 1 : 0;
