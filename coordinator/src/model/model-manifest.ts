import { FedLoraError, dtypes, isBaseModelHash } from "@fedlora/core";
import type { ModelManifest } from "@fedlora/core";
import { z } from "zod";

const name = z.string().min(1).max(512);
const size = z
  .int()
  .min(1)
  .max(2 ** 31);
const layer = z.int().min(0).max(100_000).nullable();

/** Loose, so that a later version of `fedlora model inspect` may say more. */
const manifestSchema = z.object({
  format: z.literal("fedlora-model/1"),
  family: name,
  name: z.string().max(512),
  hash: z.string().refine(isBaseModelHash, "64 lower-case hex digits"),
  numLayers: z.int().min(0).max(100_000),
  numParameters: z.int().min(0),
  modules: z.array(z.object({ name, kind: z.literal("linear"), dIn: size, dOut: size, layer })).max(100_000),
  heads: z
    .array(
      z.object({ name, kind: z.literal("linear"), dIn: size, dOut: size.nullable(), bias: z.boolean().optional() }),
    )
    .max(1000),
  tensors: z.array(z.object({ name, dtype: z.enum(dtypes), shape: z.array(z.int().min(0)).max(16) })).max(1_000_000),
});

/** A manifest from outside: its form, and that no name occurs twice. Throws `request-invalid` naming the field. */
export function parseModelManifest(value: unknown): ModelManifest {
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0] ?? { path: [], message: "invalid" };
    throw new FedLoraError("request-invalid", `model manifest, ${path.join(".") || "the value"}: ${message}`);
  }
  const { modules, heads } = parsed.data;
  const names = [...modules, ...heads].map((module) => module.name);
  const twice = names.find((each, index) => names.indexOf(each) !== index);
  if (twice === undefined) return parsed.data;
  throw new FedLoraError("request-invalid", `model manifest: module "${twice}" is listed twice`);
}
