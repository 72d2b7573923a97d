import { FedLoraError, compileRunSpec, type ModelManifest, type RunSpec } from "@fedlora/core";
import { federationParts, type Scenario } from "./scenario-schema.js";

type Part = Readonly<Record<string, unknown>>;

/** What a scenario calls the run without variants. */
export const plainVariant = "run";

export type ReferenceKind = Scenario["references"][number];

/** What a line without a federation is called among the variants, which have no parentheses. */
export const referenceName = (kind: ReferenceKind): string => `(${kind})`;

/** Names of the runs that a comparison has, in the scenario's order. */
export function variantNames({ variants }: Scenario): readonly string[] {
  const names = Object.keys(variants);
  return names.length === 0 ? [plainVariant] : names;
}

/** What a variant says; throws `scenario-invalid` where there is none of this name. */
export function changesOf(scenario: Scenario, variant: string): Part {
  const changes = variant === plainVariant ? {} : scenario.variants[variant];
  if (changes !== undefined) return changes;
  const known = Object.keys(scenario.variants).join(", ") || "none";
  throw new FedLoraError("scenario-invalid", `there is no variant "${variant}"; there are ${known}`);
}

/**
 * The run spec of a variant: the scenario's `run`, what the variant changes of it, and defaults that fit the data and the seed.
 *
 * @throws FedLoraError `scenario-invalid` naming the field within `run` or the variant, and what `compileRunSpec` throws of the
 *   model
 */
export function variantSpec(
  scenario: Scenario,
  variant: string,
  seed: number,
  manifest: ModelManifest,
  labels: readonly string[] | undefined,
): RunSpec {
  const parts: readonly string[] = federationParts;
  const changes = Object.fromEntries(
    Object.entries(changesOf(scenario, variant)).filter(([field]) => !parts.includes(field)),
  );
  for (const field of ["name", "model"]) {
    for (const [where, part] of [["run", scenario.run] as const, [`variants.${variant}`, changes] as const]) {
      if (!Object.hasOwn(part, field)) continue;
      throw new FedLoraError("scenario-invalid", `${where}.${field} is given by the scenario; leave it out`, {
        details: { path: `${where}.${field}` },
      });
    }
  }
  const isEvaluated = scenario.data.heldOut > 0;
  const written = merged(scenario.run, changes);
  const task = labels === undefined ? { kind: "causal-lm" } : { kind: "sequence-classification", labels };
  const defaults = {
    task,
    evaluation: { every: isEvaluated ? 1 : 0 },
    cohort: { seed },
    training: { seed },
  };
  const input = merged(defaults, { ...written, name: scenario.name, model: { hash: manifest.hash } });
  const spec = compile(input, manifest, variant);
  if (spec.evaluation.every > 0 && !isEvaluated) {
    throw new FedLoraError(
      "scenario-invalid",
      `run.evaluation.every is ${spec.evaluation.every}, but no client sets examples aside: set data.heldOut`,
      { details: { path: "data.heldOut" } },
    );
  }
  return spec;
}

function compile(input: Part, manifest: ModelManifest, variant: string): RunSpec {
  try {
    return compileRunSpec(input, { manifest });
  } catch (thrown) {
    if (!(thrown instanceof FedLoraError) || thrown.code !== "spec-invalid") throw thrown;
    const where = variant === plainVariant ? "run" : `run with variants.${variant}`;
    const message = thrown.message
      .split("\n")
      .map((line) => `${where}: ${line}`)
      .join("\n");
    throw new FedLoraError("scenario-invalid", message, { details: thrown.details, cause: thrown });
  }
}

/** Fields of `changes` in the place of those of `base`; objects are merged unless their `kind` or `name` is another. */
export function merged(base: Part, changes: Part): Part {
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(changes)) {
    const before = result[key];
    result[key] = isPart(before) && isPart(value) && !isOther(before, value) ? merged(before, value) : value;
  }
  return result;
}

function isOther(before: Part, value: Part): boolean {
  return ["kind", "name"].some((key) => value[key] !== undefined && value[key] !== before[key]);
}

const isPart = (value: unknown): value is Part => typeof value === "object" && value !== null && !Array.isArray(value);
