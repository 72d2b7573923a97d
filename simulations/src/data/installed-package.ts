import { FedLoraError } from "@fedlora/core";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Folder and version of an npm package that holds data. Throws `file-missing` where it is not installed. */
export async function installedPackage(name: string): Promise<{ readonly folder: string; readonly version: string }> {
  let manifest: string;
  try {
    manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
  } catch (cause) {
    throw new FedLoraError("file-missing", `the data are in the npm package ${name}, which is not installed`, {
      cause,
    });
  }
  const { version } = JSON.parse(await readFile(manifest, "utf8")) as { readonly version: string };
  return { folder: join(dirname(manifest)), version };
}
