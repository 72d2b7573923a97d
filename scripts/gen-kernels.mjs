// Compiles the kernels in AssemblyScript to the TypeScript modules that hold them; with --check it only compares, so that
// what is reviewed as source is what runs.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";
import { format, resolveConfig } from "prettier";

const root = fileURLToPath(new URL("..", import.meta.url));
const modules = [
  { source: "aggregators/assembly/exact-kernels.ts", target: "aggregators/src/primitive/simd-module.ts" },
  { source: "simulations/assembly/linear-kernels.ts", target: "simulations/src/linear/simd-module.ts" },
];

async function compile(source) {
  const flags = ["-O3", "--noAssert", "--runtime", "stub", "--enable", "simd"];
  const memory = ["--importMemory", "--noExportMemory", "--initialMemory", "1", "--maximumMemory", "65535"];
  const entry = [source, "--baseDir", root, "--outFile", "kernels.wasm"];
  let bytes;
  const { error, stderr } = await asc.main([...entry, ...flags, ...memory], {
    writeFile: (_name, contents) => {
      bytes = contents;
    },
  });
  if (error !== null || bytes === undefined) throw new Error(`asc failed: ${stderr.toString()}`);
  return Buffer.from(bytes).toString("base64");
}

for (const { source, target } of modules) {
  const file = new URL(`../${target}`, import.meta.url);
  const text = await format(
    `/** ${source}, compiled by scripts/gen-kernels.mjs; do not edit. */
export const simdModule = "${await compile(source)}";
`,
    { ...(await resolveConfig(fileURLToPath(file))), parser: "typescript" },
  );
  if (!process.argv.includes("--check")) {
    writeFileSync(file, text);
  } else if (readFileSync(file, "utf8") !== text) {
    console.error(`${target} is out of date: run \`node scripts/gen-kernels.mjs\``);
    process.exitCode = 1;
  }
}
