import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/**
 * Runs a program of this folder in a process of its own and reads the JSON of its last line.
 *
 * @param name of the module, without its extension; it runs as source or built, as this file does
 */
export async function runChild(name: string, input: object): Promise<unknown> {
  const isSource = import.meta.url.endsWith(".ts");
  const program = fileURLToPath(new URL(`./${name}.${isSource ? "ts" : "js"}`, import.meta.url));
  const execArgv = isSource ? ["--import", "tsx", "--conditions=@fedlora/source"] : [];
  // The young generation is bounded as in the pool's threads: it would grow with the length of a round, not with its needs.
  const args = ["--expose-gc", "--max-semi-space-size=2", ...execArgv, program, JSON.stringify(input)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}
