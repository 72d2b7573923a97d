import {
  adapterSchema,
  dtypes,
  FedLoraError,
  supportedDirectives,
  taskSchema,
  trainingSchema,
  type Directive,
  type PlanInstructions,
} from "@fedlora/core";
import { z } from "zod";

const specSchema = z.object({
  name: z.string().min(1).max(512),
  dtype: z.enum(dtypes),
  shape: z.array(z.number().int().min(0)).max(8),
});

const instructionsSchema = z.object({
  format: z.literal("fedlora-instructions/1"),
  task: taskSchema,
  adapter: adapterSchema,
  training: trainingSchema,
  roles: z.array(
    z.object({
      spec: specSchema,
      trained: z.boolean(),
      uploaded: z.boolean(),
      downloaded: z.boolean(),
      keep: z.enum(["none", "round", "run"]),
    }),
  ),
  updateForm: z.enum(["delta", "value", "sketch", "control", "mask"]),
  uploadLayout: z.array(specSchema),
  codec: z.string(),
  directives: z.array(z.looseObject({ kind: z.string(), version: z.number().int() })),
  keepOptimizerState: z.boolean(),
  seed: z.number(),
  rounds: z.number().int().min(1).optional(),
});

const dtypeOfCodec: Readonly<Record<string, string>> = { f32: "F32", f16: "F16", bf16: "BF16" };

/** Codecs that this client can encode an update with, as named in its capability report. */
export const supportedCodecs: readonly string[] = Object.keys(dtypeOfCodec);

/**
 * The instructions of a plan from their blob.
 * Throws `request-invalid` for what is malformed and `directive-unknown` for what only a newer client can do.
 */
export function parseInstructions(bytes: Uint8Array): PlanInstructions {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new FedLoraError("request-invalid", "the plan's instructions are not JSON", { cause });
  }
  const parsed = instructionsSchema.safeParse(json);
  if (!parsed.success) {
    throw new FedLoraError("request-invalid", `the plan's instructions are invalid: ${z.prettifyError(parsed.error)}`);
  }
  const { directives, ...rest } = parsed.data;
  return { ...rest, directives: directives.map(assertDirective) };
}

/** Throws `directive-unknown` where the update that is asked for has a form or codec that this build cannot make. */
export function assertSupported(instructions: PlanInstructions): void {
  const { updateForm, codec, uploadLayout } = instructions;
  if (updateForm !== "delta" && updateForm !== "value") {
    throw new FedLoraError("directive-unknown", `update form "${updateForm}" is not one of delta, value`);
  }
  const dtype = dtypeOfCodec[codec];
  if (dtype === undefined) {
    throw new FedLoraError("directive-unknown", `codec "${codec}" is not one of ${supportedCodecs.join(", ")}`);
  }
  const other = uploadLayout.find((spec) => spec.dtype !== dtype);
  if (other !== undefined) {
    throw new FedLoraError(
      "request-invalid",
      `"${other.name}" is asked for as ${other.dtype}, but codec ${codec} is ${dtype}`,
    );
  }
}

function assertDirective(directive: { readonly kind: string; readonly version: number }): Directive {
  const name = `${directive.kind}@${directive.version}`;
  if (!supportedDirectives.includes(name)) {
    throw new FedLoraError(
      "directive-unknown",
      `directive ${name} is not one of ${supportedDirectives.join(", ")}, which this client understands`,
      { details: { directive: name } },
    );
  }
  const parsed = z
    .object({ kind: z.literal("proximal"), version: z.literal(1), mu: z.number().positive() })
    .safeParse(directive);
  if (!parsed.success) throw new FedLoraError("request-invalid", `directive ${name}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
