// Writes docs/reference/run-spec.md from the run spec's schema; with --check it only compares.
import { readFileSync, writeFileSync } from "node:fs";
import { format, resolveConfig } from "prettier";
import { register } from "tsx/esm/api";

register();
const { runSpecReference } = await import("../core/src/run-spec/reference.ts");

const file = new URL("../docs/reference/run-spec.md", import.meta.url);
const options = (await resolveConfig(file)) ?? {};
const text = await format(runSpecReference(), { ...options, parser: "markdown" });
if (!process.argv.includes("--check")) {
  writeFileSync(file, text);
} else if (readFileSync(file, "utf8") !== text) {
  console.error("docs/reference/run-spec.md is out of date: run `node scripts/gen-reference.mjs`");
  process.exitCode = 1;
}
