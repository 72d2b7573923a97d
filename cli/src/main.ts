import { readFileSync } from "node:fs";
import { describeFailure, exitCode } from "./errors.js";
import { createProgram } from "./program.js";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

try {
  await createProgram(version).parseAsync();
} catch (failure) {
  process.stderr.write(`${describeFailure(failure)}\n`);
  process.exitCode = exitCode(failure);
}
