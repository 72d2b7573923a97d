import { z } from "zod";
import { dtypes, itemSize } from "./dtype.js";
import { maxDimensions, maxNameLength } from "./safetensors-header.js";
import { compareNames } from "./state-dict.js";
import { elementCount } from "./tensor.js";
import type { TensorLayout } from "./tensor.js";

/** A tensor's name from outside. */
export const tensorNameSchema = z
  .string()
  .min(1)
  .max(maxNameLength)
  .refine((name) => !["__proto__", "constructor", "prototype"].includes(name), "is not allowed as a name");

/** A tensor's name, dtype and shape from outside; its bytes are a safe integer. */
export const tensorSpecSchema = z
  .strictObject({
    name: tensorNameSchema,
    dtype: z.enum(dtypes),
    shape: z.array(z.int().min(0)).max(maxDimensions),
  })
  .refine(({ dtype, shape }) => Number.isSafeInteger(elementCount(shape) * itemSize[dtype]), "is too large");

/** Distinct tensors in canonical order. */
export const tensorLayoutSchema: z.ZodType<TensorLayout> = z
  .array(tensorSpecSchema)
  .max(100_000)
  .refine(
    (specs) => specs.every(({ name }, i) => i === 0 || compareNames(specs[i - 1]?.name ?? "", name) < 0),
    "must hold distinct tensors in the order of their names",
  );
