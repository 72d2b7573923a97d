import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** End-to-end tests start real processes from dist/, so it must match the sources. */
export default function setup(): void {
  const root = fileURLToPath(new URL("..", import.meta.url));
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-b"], { cwd: root, stdio: "inherit" });
}
