import { FedLoraError } from "@fedlora/core";
import { z } from "zod";

/** Reads config.json; unknown fields are skipped, for every model brings its own. Throws `model-unsupported`. */
export function parseModelConfig<Schema extends z.ZodType>(
  family: string,
  schema: Schema,
  json: unknown,
): z.output<Schema> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = issue === undefined || issue.path.length === 0 ? "config.json" : issue.path.join(".");
  throw new FedLoraError(
    "model-unsupported",
    `config.json of a ${family} model: ${field}: ${issue?.message ?? "not valid"}`,
    { details: { field } },
  );
}

/** Heads must share the width evenly. Throws `model-unsupported`. */
export function requireDivides(family: string, divisor: [string, number], whole: [string, number]): void {
  if (whole[1] % divisor[1] === 0) return;
  throw new FedLoraError(
    "model-unsupported",
    `config.json of a ${family} model: ${divisor[0]} ${divisor[1]} must divide ${whole[0]} ${whole[1]}`,
    { details: { field: divisor[0] } },
  );
}
