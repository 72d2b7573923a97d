import { assertMethod, compileMethod } from "@fedlora/aggregators";
import {
  FedLoraError,
  adapterLayout,
  compileRunSpec,
  resolveAdapter,
  suggestion,
  type ModelManifest,
  type RunSpec,
} from "@fedlora/core";
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

/** What a variant says; throws `scenario-invalid` with the nearest name where there is none of this name. */
export function changesOf(scenario: Scenario, variant: string): Part {
  const { variants } = scenario;
  const changes = variant === plainVariant ? {} : Object.hasOwn(variants, variant) ? variants[variant] : undefined;
  if (changes !== undefined) return changes;
  const names = Object.keys(variants);
  const hint = suggestion(variant, names);
  const known = names.length === 0 ? "; the scenario has none" : `; there are ${names.join(", ")}`;
  throw new FedLoraError("scenario-invalid", `there is no variant "${variant}"${hint === "" ? known : hint}`);
}

/**
 * The run spec of a variant: the scenario's `run`, what the variant changes of it, and defaults that fit the data and the seed.
 * Before the model or the labels are known it is no spec to run, but what can be wrong with it by then is found.
 *
 * @param labels `unread`: the data have some
 * @throws FedLoraError `scenario-invalid` naming the field within `run` or the variant; with the variant named what
 *   `compileRunSpec` throws of the model, and `compileMethod` of the method
 */
export function variantSpec(
  scenario: Scenario,
  variant: string,
  seed: number,
  manifest: ModelManifest | undefined,
  labels: readonly string[] | "unread" | undefined,
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
  const defaults = {
    task: taskOf(labels === "unread" ? standIns(written) : labels),
    evaluation: { every: isEvaluated ? 1 : 0 },
    cohort: { seed },
    training: { seed },
  };
  const hash = manifest?.hash ?? "0".repeat(64);
  const input = merged(defaults, { ...written, name: scenario.name, model: { hash } });
  const spec = explained(variant, () => compile(input, manifest));
  if (spec.evaluation.every > 0 && !isEvaluated) {
    throw new FedLoraError(
      "scenario-invalid",
      `run.evaluation.every is ${spec.evaluation.every}, but no client sets examples aside: set data.heldOut`,
      { details: { path: "data.heldOut" } },
    );
  }
  return spec;
}

function compile(input: Part, manifest: ModelManifest | undefined): RunSpec {
  const spec = compileRunSpec(input, { manifest });
  if (manifest === undefined) {
    assertMethod(spec);
    return spec;
  }
  const adapter = resolveAdapter(spec.adapter, manifest, spec.task);
  const scalings = Object.fromEntries(adapter.modules.map(({ name, scaling }) => [name, scaling]));
  compileMethod({ spec, adapterLayout: adapterLayout(adapter), scalings });
  return spec;
}

const taskOf = (labels: readonly string[] | undefined): Part =>
  labels === undefined ? { kind: "causal-lm" } : { kind: "sequence-classification", labels };

/** Labels of data that were not read yet, among them the one that the run names. */
function standIns({ task }: Part): readonly string[] {
  const positive = isPart(task) && typeof task["positiveLabel"] === "string" ? task["positiveLabel"] : "yes";
  return [`not ${positive}`, positive];
}

/** Says of which variant an error is. */
function explained<T>(variant: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    if (!(thrown instanceof FedLoraError)) throw thrown;
    const where = variant === plainVariant ? "run" : `run with variants.${variant}`;
    const message = thrown.message
      .split("\n")
      .map((line) => `${where}: ${line}`)
      .join("\n");
    const code = thrown.code === "spec-invalid" ? "scenario-invalid" : thrown.code;
    throw new FedLoraError(code, message, { details: thrown.details, cause: thrown });
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
