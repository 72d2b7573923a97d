// Writes the documents that follow from code: the run spec's reference and the table of methods. With --check it only
// compares.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { format, resolveConfig } from "prettier";
import { register } from "tsx/esm/api";
import { methodsPage } from "./methods-page.mjs";

// The workspaces' sources, not what was built of them: this process once more, with their export condition.
const condition = "--conditions=@fedlora/source";
if (!process.execArgv.includes(condition)) {
  process.exit(spawnSync(process.execPath, [condition, ...process.argv.slice(1)], { stdio: "inherit" }).status ?? 1);
}

register();
const { runSpecReference } = await import("../core/src/run-spec/reference.ts");
const { referenceModules } = await import("../core/src/model/reference-models.ts");
const { builtinMethods } = await import("../aggregators/src/builtin.ts");
const { methodMatrix } = await import("../aggregators/src/method-matrix.ts");

const rows = methodMatrix(builtinMethods.values(), {
  model: referenceModules("roberta-large"),
  rank: 8,
  targetModules: ["query", "value"],
  contributors: 10,
});
const documents = {
  "docs/reference/run-spec.md": runSpecReference(),
  "docs/methods/README.md": methodsPage(rows),
};

for (const [path, text] of Object.entries(documents)) {
  const file = new URL(`../${path}`, import.meta.url);
  const options = (await resolveConfig(file)) ?? {};
  const formatted = await format(text, { ...options, parser: "markdown" });
  if (!process.argv.includes("--check")) {
    writeFileSync(file, formatted);
  } else if (readFileSync(file, "utf8") !== formatted) {
    console.error(`${path} is out of date: run \`node scripts/gen-reference.mjs\``);
    process.exitCode = 1;
  }
}
