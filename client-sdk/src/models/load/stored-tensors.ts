import { FedLoraError, type TensorSpec } from "@fedlora/core";
import { SafetensorsFile } from "@fedlora/core/node";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { readOptionalJson } from "./read-json.js";

/** A tensor as a checkpoint stores it, and where its bytes lie. */
export interface StoredTensor extends TensorSpec {
  readonly path: string;
  /** From the start of the file, in bytes. */
  readonly offset: number;
  readonly byteLength: number;
}

const indexFile = "model.safetensors.index.json";
const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

/**
 * The tensors of a checkpoint, from the headers of its file or shards; their order is not defined.
 *
 * @throws FedLoraError `model-missing` without weights, `file-invalid` for a wrong index, `safetensors-invalid`.
 */
export async function listStoredTensors(folder: string): Promise<readonly StoredTensor[]> {
  const index = await readOptionalJson(join(folder, indexFile));
  if (index === undefined) return readHeader(join(folder, await findSingleFile(folder)));
  const parsed = indexSchema.safeParse(index);
  if (!parsed.success) {
    throw new FedLoraError("file-invalid", `"${join(folder, indexFile)}": ${z.prettifyError(parsed.error)}`);
  }
  return readShards(folder, new Map(Object.entries(parsed.data.weight_map)));
}

async function findSingleFile(folder: string): Promise<string> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new FedLoraError("model-missing", `cannot read the folder "${folder}"`, { cause });
  });
  const candidates = names.filter((name) => name.endsWith(".safetensors") && name !== "adapter_model.safetensors");
  if (candidates.includes("model.safetensors")) return "model.safetensors";
  const [only, ...others] = candidates.sort();
  if (only !== undefined && others.length === 0) return only;
  const found = only === undefined ? "none" : candidates.join(", ");
  throw new FedLoraError(
    "model-missing",
    `"${folder}" needs model.safetensors, ${indexFile} or exactly one other .safetensors file; found ${found}`,
  );
}

function readShards(folder: string, weightMap: ReadonlyMap<string, string>): readonly StoredTensor[] {
  const files = [...new Set(weightMap.values())].sort();
  const outside = files.find((file) => file !== basename(file) || file.includes("\\"));
  if (outside !== undefined) {
    throw new FedLoraError("file-invalid", `${indexFile} of "${folder}" names "${outside}", which is not a file in it`);
  }
  const tensors = files.flatMap((file) =>
    readHeader(join(folder, file)).filter((tensor) => weightMap.get(tensor.name) === file),
  );
  const present = new Set(tensors.map(({ name }) => name));
  for (const [name, file] of weightMap) {
    if (!present.has(name)) {
      throw new FedLoraError(
        "file-invalid",
        `"${join(folder, file)}" has no tensor "${name}", which ${indexFile} names`,
        {
          details: { tensor: name, file },
        },
      );
    }
  }
  return tensors;
}

function readHeader(path: string): StoredTensor[] {
  let file: SafetensorsFile;
  try {
    file = new SafetensorsFile(path);
  } catch (cause) {
    if (cause instanceof FedLoraError && cause.code === "file-missing") {
      throw new FedLoraError("model-missing", `there is no "${path}"`, { cause });
    }
    throw cause;
  }
  file.close();
  return [...file.header.tensors].map(([name, { dtype, shape, offset, byteLength }]) => ({
    name,
    dtype,
    shape,
    path,
    offset,
    byteLength,
  }));
}
