import { FedLoraError } from "@fedlora/core";
import { z } from "zod";
import { readIfPresent, replacePrivateFile } from "./durable-file.js";

const schema = z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/));

/**
 * Trust on first use: the key that a coordinator's address showed first is the only one it may show later. Kept as hex
 * in a JSON object by address, for a person to edit when a coordinator really was replaced.
 *
 * Throws `coordinator-untrusted` for another key, `file-invalid` for a damaged file.
 */
export async function pinCoordinatorKey(path: string, address: string, key: Uint8Array): Promise<void> {
  const hex = Buffer.from(key).toString("hex");
  const pinned = await readPins(path);
  const known = pinned[address];
  if (known === hex) return;
  if (known !== undefined) {
    throw new FedLoraError(
      "coordinator-untrusted",
      `the coordinator at ${address} shows key ${hex}, but ${known} is pinned in "${path}"`,
    );
  }
  await replacePrivateFile(path, JSON.stringify({ ...pinned, [address]: hex }, undefined, 2));
}

async function readPins(path: string): Promise<Record<string, string>> {
  const bytes = await readIfPresent(path);
  if (bytes === undefined) return {};
  try {
    return schema.parse(JSON.parse(bytes.toString("utf8")));
  } catch (cause) {
    throw new FedLoraError("file-invalid", `"${path}" must be a JSON object of keys in hex by address`, { cause });
  }
}
