// Compiles aggregators/assembly (AssemblyScript) to aggregators/src/primitive/simd-module.ts; with --check it only
// compares, so that what is reviewed as source is what runs.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";
import { format, resolveConfig } from "prettier";

const root = fileURLToPath(new URL("..", import.meta.url));
const file = new URL("../aggregators/src/primitive/simd-module.ts", import.meta.url);

async function compile() {
  const flags = ["-O3", "--noAssert", "--runtime", "stub", "--enable", "simd"];
  const memory = ["--importMemory", "--noExportMemory", "--initialMemory", "1", "--maximumMemory", "65535"];
  const entry = ["aggregators/assembly/exact-kernels.ts", "--baseDir", root, "--outFile", "kernels.wasm"];
  let bytes;
  const { error, stderr } = await asc.main([...entry, ...flags, ...memory], {
    writeFile: (_name, contents) => {
      bytes = contents;
    },
  });
  if (error !== null || bytes === undefined) throw new Error(`asc failed: ${stderr.toString()}`);
  return Buffer.from(bytes).toString("base64");
}

const text = await format(
  `/** aggregators/assembly/exact-kernels.ts, compiled by scripts/gen-kernels.mjs; do not edit. */
export const simdModule = "${await compile()}";
`,
  { ...(await resolveConfig(fileURLToPath(file))), parser: "typescript" },
);
if (!process.argv.includes("--check")) {
  writeFileSync(file, text);
} else if (readFileSync(file, "utf8") !== text) {
  console.error("aggregators/src/primitive/simd-module.ts is out of date: run `node scripts/gen-kernels.mjs`");
  process.exitCode = 1;
}
