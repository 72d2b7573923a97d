// The coordinator must stay small and free of machine-learning runtimes: adds up what its production install holds.
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./run.mjs";

const limitBytes = 40e6;
const forbidden = /^(@tensorflow\/|onnxruntime-)/;

/** Packages that `npm ci --omit=dev -w coordinator` installs, read from the lock file. */
function productionPackages() {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const found = new Set();
  const resolve = (from, name) => {
    for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
      const path = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
      if (packages[path] !== undefined) return packages[path].link === true ? packages[path].resolved : path;
      if (folder === "") return undefined;
    }
  };
  const visit = (path) => {
    if (found.has(path)) return;
    found.add(path);
    const { dependencies = {}, optionalDependencies = {} } = packages[path];
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const next = resolve(path.includes("node_modules/") ? path : "", name) ?? resolve("", name);
      if (next !== undefined) visit(next);
    }
  };
  visit("coordinator");
  return [...found];
}

function bytesOf(path) {
  const stat = lstatSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path)
    .filter((name) => name !== "node_modules")
    .reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}

const packages = productionPackages().filter((path) => existsSync(join(root, path)));
const bad = packages.filter((path) => forbidden.test(path.replace(/^.*node_modules\//, "")));
const bytes = packages.reduce((sum, path) => sum + bytesOf(join(root, path)), 0);
console.log(`coordinator: ${packages.length} packages, ${(bytes / 1e6).toFixed(1)} MB (limit ${limitBytes / 1e6} MB)`);
if (bad.length > 0) console.error(`the coordinator must not install ${bad.join(", ")}`);
process.exitCode = bytes <= limitBytes && bad.length === 0 ? 0 : 1;
