import { explainScenario } from "./explain-scenario.js";
import { federationParts, scenarioSchema, type Scenario } from "./scenario-schema.js";
import { changesOf, merged } from "./variant-spec.js";

/**
 * The scenario as a variant has it: with its own partition, devices and misbehaviour, where it changes them.
 *
 * @throws FedLoraError `scenario-invalid`, a line per problem with the field's path within the variant
 */
export function variantScenario(scenario: Scenario, variant: string): Scenario {
  const changes = changesOf(scenario, variant);
  const parts = federationParts.filter((part) => Object.hasOwn(changes, part));
  if (parts.length === 0) return scenario;
  const input = merged(scenario, Object.fromEntries(parts.map((part) => [part, changes[part]])));
  const parsed = scenarioSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw explainScenario(parsed.error, input, `variants.${variant}`);
}
