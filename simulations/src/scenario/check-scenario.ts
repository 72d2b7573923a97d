import { FedLoraError, suggestion, type ModelManifest, type RunSpec } from "@fedlora/core";
import { dataShape, type DataShape } from "../data/data-shape.js";
import { assertUnread } from "../decoder/ensure-decoder.js";
import { linearManifest } from "../linear/linear-model.js";
import type { DataSpec } from "./data-schema.js";
import type { PartitionSpec } from "./partition-schema.js";
import type { Scenario } from "./scenario-schema.js";
import { variantScenario } from "./variant-scenario.js";
import { plainVariant, variantSpec } from "./variant-spec.js";

/**
 * Refuses, before data are read or a model is loaded, what can be known by then: variants that there are not, run specs that
 * are malformed, methods with what they do not allow, models and partitions that do not go with the data.
 *
 * @throws FedLoraError `scenario-invalid`, `model-unsupported`, and what `variantSpec` throws
 */
export function assertScenario(scenario: Scenario, variants: readonly string[]): void {
  // What there is without a federation is trained as the plain run says.
  const trained = scenario.references.length === 0 ? variants : [...variants, plainVariant];
  const federations = new Map(trained.map((variant) => [variant, variantScenario(scenario, variant)]));
  const shape = dataShape(scenario.data);
  assertModelLearns(scenario, shape);
  if (scenario.model.kind === "small-decoder") assertUnread(scenario.model, scenario.data);
  for (const [variant, { partition }] of federations) {
    assertPartition(partition, scenario.data, shape);
    const spec = variantSpec(scenario, variant, 0, manifestOf(scenario, shape), shape.labels);
    if (scenario.model.kind === "linear") assertLinear(spec, variant);
    if (partition.clients !== undefined) assertCohort(spec.cohort.size, partition.clients);
  }
}

/** Throws `scenario-invalid` for a round that wants more clients than there are. */
export function assertCohort(size: number, clients: number): void {
  if (size <= clients) return;
  refuse("run.cohort.size", `run.cohort.size ${size} is more than the ${clients} clients that the partition makes`);
}

function assertModelLearns({ model, data }: Scenario, { features }: DataShape): void {
  const isNumbers = features !== undefined;
  if (isNumbers === (model.kind === "linear")) return;
  const message = isNumbers
    ? `model.kind ${model.kind} learns from texts, the data ${data.kind} are numbers: use model.kind linear`
    : `model.kind linear learns from numbers, the data ${data.kind} are texts: use a language model`;
  refuse("model.kind", message);
}

function assertPartition(partition: PartitionSpec, data: DataSpec, { labels, keys }: DataShape): void {
  if (partition.kind === "dirichlet" && labels === undefined) {
    const hint = data.kind === "file" ? "name its column, data.label, or use" : "use";
    refuse("partition.kind", `partition.kind dirichlet skews labels, and the data have none: ${hint} iid or quantity`);
  }
  if (partition.kind !== "by-key" || keys === "unread") return;
  const { key } = partition;
  if (key === undefined ? keys.length > 0 : keys.includes(key)) return;
  const got = key === undefined ? "is missing" : `"${key}" is no key of the data`;
  const hint = key === undefined ? "" : suggestion(key, keys);
  refuse("partition.key", `partition.key ${got}; keys are ${keys.join(", ") || "none"}${hint}`);
}

/** The linear model's own follows from the data; of another nothing is known yet. */
function manifestOf({ model }: Scenario, { features, labels }: DataShape): ModelManifest | undefined {
  if (model.kind !== "linear" || features === undefined || labels === undefined || labels === "unread")
    return undefined;
  return linearManifest(features, labels.length);
}

/** What the linear model has no code for; its trainer would decline every plan. */
function assertLinear({ adapter }: RunSpec, variant: string): void {
  if (adapter.variant !== "vera") return;
  const message = `variant "${variant}": the linear model takes adapters of the variants lora and latent (adapter.variant)`;
  throw new FedLoraError("model-unsupported", message, { details: { path: "adapter.variant" } });
}

function refuse(path: string, message: string): never {
  throw new FedLoraError("scenario-invalid", message, { details: { path } });
}
