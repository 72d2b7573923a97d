// Runs after `npm ci`: builds what the launchers in */bin need. A production install has no compiler and nothing to build.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const tsc = fileURLToPath(new URL("../node_modules/typescript/bin/tsc", import.meta.url));
if (existsSync(tsc)) {
  const { status } = spawnSync(process.execPath, [tsc, "-b"], { stdio: "inherit" });
  process.exitCode = status ?? 1;
}
