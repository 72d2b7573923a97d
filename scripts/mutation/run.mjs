// Mutation testing of the folders in targets.mjs, or of those that the arguments name: how many small changes of the code
// the tests notice. Writes docs/benchmarks/mutation.json and fails below the bar.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bin, node, root } from "../run.mjs";
import { bar, targets } from "./targets.mjs";

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !targets.some((target) => target.name === name));
if (unknown.length > 0) {
  console.error(`unknown target ${unknown.join(", ")}; one of ${targets.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}
const summaryFile = join(root, "docs/benchmarks/mutation.json");
const folder = mkdtempSync(join(tmpdir(), "fedlora-mutation-"));
let failed = false;
try {
  for (const { name, mutate } of targets.filter((target) => wanted.length === 0 || wanted.includes(target.name))) {
    const report = join(folder, `${name}.json`);
    const env = { ...process.env, MUTATION_TARGET: name, MUTATION_REPORT: report };
    const config = "scripts/mutation/stryker.config.mjs";
    const code = await node([bin("@stryker-mutator/core", "stryker"), "run", config], { env });
    if (code !== 0) throw new Error(`mutation testing of ${mutate} ended with code ${code}`);
    const row = summarize(JSON.parse(readFileSync(report, "utf8")));
    writeSummary(name, row);
    const ok = row.score >= bar;
    failed ||= !ok;
    console.log(`${ok ? "ok  " : "MISS"} ${mutate}: ${row.killed} of ${row.mutants} mutants noticed (${row.score})`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;

/** Counts by file; a mutant that runs for ever was noticed, one that does not compile or load is not counted. */
function summarize({ files }) {
  const rows = Object.entries(files).map(([file, { mutants }]) => {
    const count = (...statuses) => mutants.filter(({ status }) => statuses.includes(status)).length;
    const killed = count("Killed", "Timeout");
    return [file, { killed, mutants: killed + count("Survived", "NoCoverage") }];
  });
  const sum = (field) => rows.reduce((total, [, row]) => total + row[field], 0);
  const [killed, mutants] = [sum("killed"), sum("mutants")];
  return { score: Math.round((1000 * killed) / mutants) / 1000, killed, mutants, files: Object.fromEntries(rows) };
}

function writeSummary(name, row) {
  let summary = { bar, targets: {} };
  try {
    summary = { ...JSON.parse(readFileSync(summaryFile, "utf8")), bar };
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  summary.targets[name] = row;
  writeFileSync(summaryFile, `${JSON.stringify(summary, null, 1)}\n`);
}
