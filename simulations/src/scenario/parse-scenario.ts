import { FedLoraError, explainIssues, parseSpecText, type JsonSchema } from "@fedlora/core";
import { z } from "zod";
import { assertClaims } from "./check-claims.js";
import { scenarioSchema, type Scenario } from "./scenario-schema.js";
import { variantNames } from "./variant-spec.js";

const maxProblems = 10;
let schema: JsonSchema | undefined;

/** JSON Schema of a scenario as a person writes it, for editors. */
export function scenarioJsonSchema(): JsonSchema {
  schema ??= z.toJSONSchema(scenarioSchema, { io: "input" }) as JsonSchema;
  return schema;
}

/**
 * A scenario from YAML 1.2 or JSON text, with its defaults.
 *
 * @throws FedLoraError `scenario-invalid`, a line per problem with the field's path, what was got and what is allowed
 */
export function parseScenario(text: string): Scenario {
  const input = parseSpecText(text, "the scenario", "scenario-invalid");
  const parsed = scenarioSchema.safeParse(input);
  if (parsed.success) {
    assertClaims(parsed.data.claims, variantNames(parsed.data));
    return parsed.data;
  }
  const problems = explainIssues(parsed.error.issues, input, { name: "the scenario", schema: scenarioJsonSchema() });
  const shown = problems.slice(0, maxProblems).map(({ message }) => message);
  if (problems.length > maxProblems) shown.push(`and ${problems.length - maxProblems} more`);
  throw new FedLoraError("scenario-invalid", shown.join("\n"), { details: { path: problems[0]?.path ?? "" } });
}
