import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { resolve } = createRequire(import.meta.url);

/** Folder of an installed package, or undefined; does not load it. */
export function packageFolder(packageName: string): string | undefined {
  const folders = (resolve.paths(packageName) ?? []).map((folder) => join(folder, packageName));
  return folders.find((folder) => existsSync(join(folder, "package.json")));
}

/** Version of an installed package, or undefined. */
export function installedVersion(packageName: string): string | undefined {
  const folder = packageFolder(packageName);
  if (folder === undefined) return undefined;
  return (JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { readonly version?: string }).version;
}
