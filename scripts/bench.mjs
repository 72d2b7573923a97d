// `npm run bench -- [NAME] [--json] [--quick]`: builds what changed, then measures the built code.
import { spawnSync } from "node:child_process";
import { bin, node, root } from "./run.mjs";

const build = spawnSync(process.execPath, [bin("typescript", "tsc"), "-b"], { cwd: root, stdio: ["ignore", 2, 2] });
process.exitCode = build.status === 0 ? await node(["benchmarks/dist/main.js", ...process.argv.slice(2)]) : 1;
