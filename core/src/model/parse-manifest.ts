import { z } from "zod";
import { FedLoraError } from "../errors.js";
import { isBaseModelHash } from "../ids.js";
import type { BaseModelHash } from "../ids.js";
import { tensorLayoutSchema, tensorNameSchema } from "../tensor/schema.js";
import type { ModelManifest } from "./manifest.js";

const size = z
  .int()
  .min(1)
  .max(2 ** 31 - 1);
const count = z.int().min(0);

const manifestSchema = z
  .strictObject({
    format: z.literal("fedlora-model/1"),
    family: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
    name: z.string().min(1).max(256),
    hash: z.custom<BaseModelHash>(
      (value) => typeof value === "string" && isBaseModelHash(value),
      "must be 64 hex digits",
    ),
    numLayers: count.max(10_000),
    numParameters: count,
    modules: z
      .array(
        z.strictObject({
          name: tensorNameSchema,
          kind: z.literal("linear"),
          dIn: size,
          dOut: size,
          layer: count.nullable(),
        }),
      )
      .max(100_000),
    heads: z
      .array(
        z.strictObject({
          name: tensorNameSchema,
          kind: z.literal("linear"),
          dIn: size,
          dOut: size.nullable(),
          bias: z.boolean().optional(),
        }),
      )
      .max(100),
    tensors: tensorLayoutSchema,
  })
  .refine(
    ({ modules, heads }) =>
      new Set([...modules, ...heads].map(({ name }) => name)).size === modules.length + heads.length,
    { path: ["modules"], error: "two modules or heads have the same name" },
  )
  .refine(({ modules, numLayers }) => modules.every(({ layer }) => layer === null || layer < numLayers), {
    path: ["modules"],
    error: "a module's layer is not below numLayers",
  });

/**
 * A model manifest from outside: a file, or JSON from the wire.
 *
 * @throws FedLoraError `file-invalid` naming the field
 */
export function parseModelManifest(json: unknown): ModelManifest {
  const parsed = manifestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0] ?? { path: [], message: "invalid" };
  const field = path.length === 0 ? "the manifest" : path.join(".");
  throw new FedLoraError("file-invalid", `model manifest: ${field}: ${message}`, { details: { path: field } });
}
