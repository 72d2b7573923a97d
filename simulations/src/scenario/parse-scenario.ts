import { parseSpecText } from "@fedlora/core";
import { assertClaims } from "./check-claims.js";
import { explainScenario } from "./explain-scenario.js";
import { scenarioSchema, type Scenario } from "./scenario-schema.js";
import { variantScenario } from "./variant-scenario.js";
import { referenceName, variantNames } from "./variant-spec.js";

/**
 * A scenario from YAML 1.2 or JSON text, with its defaults.
 *
 * @throws FedLoraError `scenario-invalid`, a line per problem with the field's path, what was got and what is allowed
 */
export function parseScenario(text: string): Scenario {
  const input = parseSpecText(text, "the scenario", "scenario-invalid");
  const parsed = scenarioSchema.safeParse(input);
  if (!parsed.success) throw explainScenario(parsed.error, input);
  const variants = variantNames(parsed.data);
  assertClaims(parsed.data.claims, [...variants, ...parsed.data.references.map(referenceName)]);
  for (const variant of variants) variantScenario(parsed.data, variant);
  return parsed.data;
}
