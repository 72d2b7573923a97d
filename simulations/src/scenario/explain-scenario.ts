import { FedLoraError, explainIssues, type JsonSchema } from "@fedlora/core";
import { z } from "zod";
import { scenarioSchema } from "./scenario-schema.js";

const maxProblems = 10;
let schema: JsonSchema | undefined;

/** JSON Schema of a scenario as a person writes it, for editors. */
export function scenarioJsonSchema(): JsonSchema {
  schema ??= z.toJSONSchema(scenarioSchema, { io: "input" }) as JsonSchema;
  return schema;
}

/**
 * What is wrong with a scenario, a line per problem with the field's path, what was got and what is allowed.
 *
 * @param within where the fields stand; default: at the top
 */
export function explainScenario(error: z.ZodError, input: unknown, within?: string): FedLoraError {
  const problems = explainIssues(error.issues, input, { name: "the scenario", schema: scenarioJsonSchema() });
  const place = within === undefined ? "" : `${within}.`;
  const shown = problems.slice(0, maxProblems).map(({ message }) => `${place}${message}`);
  if (problems.length > maxProblems) shown.push(`and ${problems.length - maxProblems} more`);
  return new FedLoraError("scenario-invalid", shown.join("\n"), {
    details: { path: `${place}${problems[0]?.path ?? ""}` },
  });
}
