import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FedLoraError, dtypes } from "@fedlora/core";
import { z } from "zod";
import type { ArtifactManifest, ArtifactRef } from "../artifact.js";

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const shape = z.array(z.int().min(0)).max(8);
const port = { name: z.string().min(1), dtype: z.enum(["F32", "I32"]), shape, tensor: z.string().optional() };

/** What the runtime relies on; the request is checked where it matters and otherwise kept as it is. */
const manifestSchema = z.object({
  format: z.literal("fedlora-artifact/1"),
  key: hash,
  request: z.looseObject({
    baseModelHash: hash,
    purpose: z.enum(["train", "activation-sketch", "evaluate", "generate", "embed"]),
    batch: z.int().min(1),
    length: z.int().min(1),
    privacy: z.enum(["none", "per-example"]),
  }),
  opset: z.int(),
  graphFile: z.enum(["step.onnx", "evaluate.onnx"]),
  graphHash: hash,
  inputs: z.array(
    z.object({
      ...port,
      role: z.enum([
        "tokens",
        "attention-mask",
        "labels",
        "loss-weights",
        "position",
        "adapter",
        "scaling",
        "dropout-mask",
        "base-delta",
      ]),
    }),
  ),
  outputs: z.array(z.object({ ...port, role: z.enum(["loss", "losses", "logits", "gradient", "embedding"]) })),
  weights: z.array(z.object({ name: z.string(), dtype: z.enum(dtypes), shape })),
  flops: z.number().min(0),
  activationBytes: z.number().min(0),
  disabledOptimizers: z.array(z.string().regex(/^\w+$/)),
});

/**
 * Reads an artifact's folder and checks its manifest and the graph's hash.
 *
 * Throws `artifact-invalid` naming the field or the file.
 */
export async function readArtifact(folder: string): Promise<ArtifactRef> {
  const path = join(folder, "artifact.json");
  const invalid = (what: string, cause?: unknown): FedLoraError =>
    new FedLoraError("artifact-invalid", `${path}: ${what}`, { cause });
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw invalid(`${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`);
  }
  const { graphFile, graphHash } = parsed.data;
  const graph = await readFile(join(folder, graphFile)).catch((cause: unknown) => {
    throw invalid(`${graphFile} is missing`, cause);
  });
  const actual = createHash("sha256").update(graph).digest("hex");
  if (actual !== graphHash) throw invalid(`${graphFile} has hash ${actual}, expected ${graphHash}`);
  // The schema checks every field that the runtime reads; the request's other fields matter to the compiler alone.
  return { folder, manifest: parsed.data as unknown as ArtifactManifest };
}
