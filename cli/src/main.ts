import { readFileSync } from "node:fs";
import { describeFailure, exitCode } from "./errors.js";
import { createProgram } from "./program.js";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

// `fedlora run list | head` closes the pipe early; that is no failure.
process.stdout.on("error", (failure: NodeJS.ErrnoException) => {
  if (failure.code === "EPIPE") process.exit(0);
  throw failure;
});

try {
  await createProgram(version).parseAsync();
} catch (failure) {
  process.stderr.write(`${describeFailure(failure)}\n`);
  process.exitCode = exitCode(failure);
}
