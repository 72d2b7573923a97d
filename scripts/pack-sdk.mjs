// Packs the client SDK as one tarball that installs from the npm registry alone:
//
//     npm run pack:sdk [-- FOLDER]        default: dist/
//
// The workspaces that the SDK is made of travel inside it, with imports of each other turned into relative ones, so the
// layout of the built files (the engine starts its child process from a file beside its own) stays what it is.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, posix, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const inside = ["client-sdk", "core", "proto"];
const readJson = (path) => JSON.parse(readFileSync(path, "utf8"));
const manifests = new Map(inside.map((name) => [`@fedlora/${name}`, readJson(join(root, name, "package.json"))]));
const sdk = manifests.get("@fedlora/client-sdk");

const outFolder = resolve(process.argv[2] ?? join(root, "dist"));
const staging = mkdtempSync(join(tmpdir(), "fedlora-pack-"));
try {
  build();
  for (const name of inside) copyBuilt(name);
  for (const name of ["LICENSE"]) cpSync(join(root, name), join(staging, name));
  cpSync(join(root, "docs/how-to/embed-a-client.md"), join(staging, "README.md"));
  writeFileSync(join(staging, "package.json"), `${JSON.stringify(packedManifest(), undefined, 2)}\n`);
  console.log(pack());
} finally {
  rmSync(staging, { recursive: true, force: true });
}

function build() {
  run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-b", "client-sdk"], root);
}

/** Test helpers need the test runner, and source maps name sources that stay at home. */
function isPublished(path) {
  return !/(^|[\\/])testing([\\/]|$)/.test(path) && !/\.test\.|\.map$|\.tsbuildinfo$/.test(path);
}

function copyBuilt(workspace) {
  const from = join(root, workspace, "dist");
  const to = join(staging, "dist", workspace);
  cpSync(from, to, { recursive: true, filter: (path) => isPublished(relative(from, path)) });
  for (const path of filesBelow(to)) {
    if (!/\.(js|d\.ts)$/.test(path)) continue;
    const text = readFileSync(path, "utf8");
    writeFileSync(path, makeRelative(text, path).replace(/^\/\/# sourceMappingURL=.*$/m, ""));
  }
}

/** `from "@fedlora/core/node"` and `import("@fedlora/core")` become the path of the file that the export names. */
function makeRelative(text, path) {
  return text.replace(
    /(\bfrom\s*|\bimport\s*\(?\s*)(["'])(@fedlora\/[a-z-]+)(\/[a-z/-]+)?\2/g,
    (_, before, quote, name, sub) => {
      const target = manifests.get(name)?.exports[sub === undefined ? "." : `.${sub}`]?.default;
      if (target === undefined) throw new Error(`${path} imports ${name}${sub ?? ""}, which the SDK does not carry`);
      const file = join(staging, target.replace(/^\.\/dist/, `dist/${name.slice("@fedlora/".length)}`));
      const way = relative(dirname(path), file).split(sep).join(posix.sep);
      return `${before}${quote}${way.startsWith(".") ? way : `./${way}`}${quote}`;
    },
  );
}

function packedManifest() {
  const { name, version, description, license, type, sideEffects, engines, peerDependencies, peerDependenciesMeta } =
    sdk;
  const dependencies = Object.assign({}, ...[...manifests.values()].map((manifest) => manifest.dependencies));
  for (const own of manifests.keys()) delete dependencies[own];
  const published = Object.entries(sdk.exports).filter(([key]) => key !== "./testing");
  const place = (path) => path.replace(/^\.\/dist/, "./dist/client-sdk");
  const exports = Object.fromEntries(
    published.map(([key, value]) => [key, { types: place(value.types), default: place(value.default) }]),
  );
  return {
    name,
    version,
    description,
    license,
    type,
    sideEffects,
    engines,
    exports,
    files: ["dist"],
    dependencies: Object.fromEntries(Object.entries(dependencies).sort(([a], [b]) => (a < b ? -1 : 1))),
    peerDependencies,
    peerDependenciesMeta,
  };
}

function pack() {
  mkdirSync(outFolder, { recursive: true });
  const output = run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", outFolder], staging);
  const [{ filename }] = Object.values(JSON.parse(output));
  return join(outFolder, filename);
}

function run(command, args, cwd) {
  const shell = process.platform === "win32" && command === "npm";
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8", shell });
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(" ")} failed: ${error?.message ?? `${stdout}\n${stderr}`}`);
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
