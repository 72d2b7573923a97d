// Runs one of the tools in node_modules with Node itself, so that no shell and no PATH is needed.
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** Path of a package's bin script. */
export function bin(packageName, name = packageName) {
  const manifest = join(root, "node_modules", packageName, "package.json");
  const field = JSON.parse(readFileSync(manifest, "utf8")).bin;
  return join(dirname(manifest), typeof field === "string" ? field : field[name]);
}

/** Runs a Node script and resolves with its exit code; Ctrl-C reaches the child by the terminal. */
export function node(args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit", ...options });
    const wait = () => undefined;
    process.on("SIGINT", wait);
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      process.off("SIGINT", wait);
      resolve(code ?? (signal === "SIGINT" ? 130 : 1));
    });
  });
}
