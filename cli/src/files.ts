import { readFile } from "node:fs/promises";
import { FedLoraError } from "@fedlora/core";

/** A text file named on the command line; a missing one is told by its path, not by errno. */
export async function readTextFile(path: string, what: string): Promise<string> {
  return (await readBytes(path, what)).toString("utf8");
}

/** As `readTextFile`, for files that are no text. */
export async function readBytes(path: string, what: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why =
      code === "ENOENT"
        ? "does not exist"
        : code === "EISDIR"
          ? "is a folder"
          : `cannot be read (${code ?? "unknown"})`;
    throw new FedLoraError("file-missing", `${what} "${path}" ${why}`, { cause });
  }
}

/** A JSON file, parsed; what is not JSON is told with the file's name. */
export async function readJsonFile(path: string, what: string): Promise<unknown> {
  const text = await readTextFile(path, what);
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new FedLoraError("file-invalid", `${what} "${path}" is not JSON: ${(cause as Error).message}`, { cause });
  }
}
