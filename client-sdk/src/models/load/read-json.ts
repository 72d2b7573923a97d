import { FedLoraError } from "@fedlora/core";
import { readFile } from "node:fs/promises";

/** Content of a file, or undefined where there is no such file. */
export async function readOptional(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new FedLoraError("file-missing", `cannot read "${path}": ${(cause as Error).message}`, { cause });
  }
}

/**
 * A JSON file of a model folder as a value, or undefined where there is no such file.
 *
 * @throws FedLoraError `file-invalid`
 */
export async function readOptionalJson(path: string): Promise<unknown> {
  const bytes = await readOptional(path);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(bytes.toString("utf8")) as unknown;
  } catch (cause) {
    throw new FedLoraError("file-invalid", `"${path}" is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** @throws FedLoraError `model-missing` without the file, `file-invalid` where it is not a JSON object. */
export async function readJsonObject(path: string): Promise<Readonly<Record<string, unknown>>> {
  const value = await readOptionalJson(path);
  if (value === undefined) throw new FedLoraError("model-missing", `there is no "${path}"`);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FedLoraError("file-invalid", `"${path}" must hold a JSON object`);
  }
  return value as Readonly<Record<string, unknown>>;
}
