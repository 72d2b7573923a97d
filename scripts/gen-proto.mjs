// Writes proto/src/gen from proto/fedlora/v1: the types by proto-loader-gen-types and the descriptor that is loaded at run
// time. With --check it writes elsewhere and fails when the committed files differ.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const committed = join(root, "proto/src/gen");
const services = ["fedlora/v1/coordinator.proto", "fedlora/v1/admin.proto"];

const require = createRequire(join(root, "proto/package.json"));
const loaderRequire = createRequire(require.resolve("@grpc/proto-loader"));
const protobuf = loaderRequire("protobufjs");
const generator = require.resolve("@grpc/proto-loader/build/bin/proto-loader-gen-types.js");

function generate(folder) {
  const flags = ["--longs=Number", "--enums=String", "--defaults", "--oneofs", "--grpcLib=@grpc/grpc-js"];
  const args = [
    generator,
    ...flags,
    "--importFileExtension=.js",
    "--includeDirs=proto",
    `--outDir=${folder}`,
    ...services,
  ];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error(`proto-loader-gen-types ended with ${String(status)}`);

  const schema = new protobuf.Root();
  schema.resolvePath = (_origin, target) => join(root, "proto", target);
  schema.loadSync(services).resolveAll();
  const json = JSON.stringify(schema.toJSON(), null, 2);
  writeFileSync(
    join(folder, "descriptor.ts"),
    `// Written by scripts/gen-proto.mjs from proto/fedlora/v1; do not edit.\nexport const descriptor = ${json};\n`,
  );
}

const listFiles = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();

function differences(left, right) {
  const names = new Set([...listFiles(left), ...listFiles(right)]);
  const read = (folder, name) => {
    try {
      return readFileSync(join(folder, name), "utf8");
    } catch {
      return undefined;
    }
  };
  return [...names].filter((name) => read(left, name) !== read(right, name));
}

if (process.argv.includes("--check")) {
  const folder = mkdtempSync(join(tmpdir(), "fedlora-gen-"));
  try {
    generate(folder);
    const changed = differences(committed, folder);
    if (changed.length > 0) {
      console.error(`proto/src/gen differs from proto/fedlora in ${changed.join(", ")}; run npm run gen:proto`);
      process.exitCode = 1;
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
} else {
  rmSync(committed, { recursive: true, force: true });
  generate(committed);
}
