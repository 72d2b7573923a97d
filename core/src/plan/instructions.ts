import { z } from "zod";
import { FedLoraError } from "../errors.js";
import { canonicalBytes } from "../json/canonical-json.js";
import { adapterSchema, taskSchema, trainingSchema } from "../run-spec/schema.js";
import { tensorLayoutSchema, tensorSpecSchema } from "../tensor/schema.js";
import { supportedDirectives } from "./directive.js";
import { planPrivacySchema } from "./plan-privacy.js";
import type { PlanInstructions } from "./round-plan.js";

const maxBytes = 16 * 1024 * 1024;

const version = z.literal(1);
const directiveSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("proximal"), version, mu: z.number().positive() }),
  z.strictObject({ kind: z.literal("control-variate"), version }),
  z.strictObject({
    kind: z.literal("rank-penalty"),
    version,
    lambda: z.number().min(0),
    gamma: z.number().gt(0).lt(1),
  }),
  z.strictObject({ kind: z.literal("warm-up"), version, steps: z.int().min(1) }),
  z.strictObject({ kind: z.literal("gradient-sketch"), version, examples: z.int().min(1) }),
  z.strictObject({ kind: z.literal("activation-sketch"), version, examples: z.int().min(1) }),
  z.strictObject({ kind: z.literal("received-loss"), version, examples: z.int().min(1) }),
]);

const roleSchema = z.strictObject({
  spec: tensorSpecSchema,
  trained: z.boolean(),
  uploaded: z.boolean(),
  downloaded: z.boolean(),
  keep: z.enum(["none", "round", "run"]),
});

const instructionsSchema: z.ZodType<PlanInstructions> = z
  .strictObject({
    format: z.literal("fedlora-instructions/1"),
    task: taskSchema,
    adapter: adapterSchema,
    training: trainingSchema,
    roles: z.array(roleSchema).max(100_000),
    updateForm: z.enum(["delta", "value", "sketch", "control", "mask"]),
    uploadLayout: tensorLayoutSchema,
    codec: z.string().min(1).max(64),
    downloadCodec: z.string().min(1).max(64).optional(),
    errorFeedback: z.boolean().optional(),
    directives: z.array(directiveSchema).max(16),
    keepOptimizerState: z.boolean(),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1),
    rounds: z.int().min(1).optional(),
    privacy: planPrivacySchema.optional(),
  })
  .refine(({ roles }) => new Set(roles.map(({ spec }) => spec.name)).size === roles.length, {
    path: ["roles"],
    error: "two roles name the same tensor",
  });

/** The blob that a plan's `instructions` name: canonical JSON, so that equal instructions have one id. */
export function planInstructionsBytes(instructions: PlanInstructions): Uint8Array {
  return canonicalBytes(instructions);
}

/**
 * Plan instructions as a client receives them.
 *
 * @throws FedLoraError `directive-unknown` naming the first directive that this build lacks; `request-invalid` naming the
 *   field for everything else
 */
export function parsePlanInstructions(bytes: Uint8Array): PlanInstructions {
  const json = parseJson(bytes);
  assertDirectivesKnown(json);
  const parsed = instructionsSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0] ?? { path: [], message: "invalid" };
  return refuse(path.length === 0 ? "the whole" : path.join("."), message);
}

function parseJson(bytes: Uint8Array): unknown {
  if (bytes.byteLength > maxBytes) return refuse("size", `${bytes.byteLength} bytes, at most ${maxBytes}`);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return refuse("the whole", "is not JSON");
  }
}

/** Before the schema, which would call a newer coordinator's directive a malformed one. */
function assertDirectivesKnown(json: unknown): void {
  const list = z.object({ directives: z.array(z.object({ kind: z.string(), version: z.number() })) }).safeParse(json);
  if (!list.success) return;
  for (const { kind, version } of list.data.directives) {
    const name = `${kind.slice(0, 64)}@${version}`;
    if (!supportedDirectives.includes(name)) {
      throw new FedLoraError(
        "directive-unknown",
        `the plan holds the directive ${name}, known are ${supportedDirectives.join(", ")}`,
        {
          details: { directive: name },
        },
      );
    }
  }
}

function refuse(field: string, problem: string): never {
  throw new FedLoraError("request-invalid", `plan instructions: ${field}: ${problem}`, { details: { field } });
}
