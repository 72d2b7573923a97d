import { codecOf, FedLoraError } from "@fedlora/core";
import type { RunSpec, TensorRoles } from "@fedlora/core";
import type {
  AdapterVariant,
  ClientCapability,
  ClientInstruction,
  MethodCapabilities,
  MethodDefinition,
} from "./method.js";

/** What a run asks of its method, as far as methods differ in it. */
export interface MethodRequest {
  /** Family of the codec. */
  readonly codec: string;
  readonly weighting: MethodCapabilities["weightings"][number];
  readonly variant: AdapterVariant;
  /**
   * How the clients' ranks may differ. A `rankPattern` gives modules different ranks, but every client the same ones:
   * that is still `equal`.
   */
  readonly ranks: MethodCapabilities["ranks"];
  readonly privacyUnit: MethodCapabilities["privacyUnits"][number] | undefined;
  readonly secureSum: boolean;
  readonly clientOptions: MethodCapabilities["clientOptions"];
  readonly serverOptimizer: string;
  /** Whether updates of earlier rounds may come in. */
  readonly stale: boolean;
}

/** The request of a run spec; `more` states what a spec cannot say by itself. */
export function requestOf(spec: RunSpec, more: Partial<MethodRequest> = {}): MethodRequest {
  return {
    codec: codecOf(spec.codec).family,
    weighting: spec.weighting.kind,
    variant: spec.adapter.rslora && spec.adapter.variant === "lora" ? "rslora" : spec.adapter.variant,
    ranks: ranksOf(spec.rankPlan),
    privacyUnit: privacyUnitOf(spec),
    secureSum: false,
    clientOptions: [
      ...(spec.training.proximalMu === undefined ? [] : (["proximal"] as const)),
      ...(spec.training.controlVariates ? (["control-variates"] as const) : []),
    ],
    serverOptimizer: spec.serverOptimizer.kind,
    stale: spec.policy.kind === "buffered",
    ...more,
  };
}

/** How a rank plan may make clients differ. A LEGEND plan also heeds a client's own rank limit. */
function ranksOf(plan: RunSpec["rankPlan"]): MethodCapabilities["ranks"] {
  switch (plan.kind) {
    case "uniform":
      return "equal";
    case "capability":
      return "prefix";
    case "legend":
      return "any";
    case "tiers": {
      const tiers = [plan.others, ...Object.values(plan.classes)];
      const differs = (field: "rank" | "depth"): boolean => tiers.some((tier) => tier[field] !== undefined);
      if (differs("depth")) return differs("rank") ? "any" : "depth";
      return differs("rank") ? "prefix" : "equal";
    }
  }
}

/**
 * What has to be sound of the method. Where clients noise what they upload, for the sake of an example or of themselves, all
 * that follows is post-processing as long as nothing but the upload leaves them: that is what the unit `example` says.
 */
function privacyUnitOf({ privacy }: RunSpec): MethodRequest["privacyUnit"] {
  if (privacy.mode === "none") return undefined;
  return privacy.mode === "client" ? "client" : "example";
}

/**
 * Holds a run against the method's declaration, so that an unsound combination never starts.
 *
 * @throws FedLoraError `spec-combination-refused`; `details.field` names the run spec's field
 */
export function assertCombination({ name, capabilities }: MethodDefinition, request: MethodRequest): void {
  const refuse = (field: string, got: string, allowed: string): never => {
    throw new FedLoraError(
      "spec-combination-refused",
      `method "${name}" does not allow ${got} (${field}); allowed: ${allowed}`,
      { details: { method: name, field } },
    );
  };
  const list = (values: readonly string[]): string => (values.length === 0 ? "none" : values.join(", "));
  const { codecs, weightings, variants, privacyUnits, ranks, sees } = capabilities;
  if (!codecs.includes(request.codec)) refuse("codec", `codec ${request.codec}`, list(codecs));
  if (!weightings.includes(request.weighting)) {
    refuse("weighting.kind", `weighting ${request.weighting}`, list(weightings));
  }
  if (!variants.includes(request.variant)) refuse("adapter", `adapter variant ${request.variant}`, list(variants));
  if (request.ranks !== "equal" && ranks !== "any" && ranks !== request.ranks) {
    refuse("rankPlan.kind", `ranks that differ between clients (${request.ranks})`, ranks);
  }
  for (const option of request.clientOptions) {
    if (!capabilities.clientOptions.includes(option)) {
      const field = option === "proximal" ? "training.proximalMu" : "training.controlVariates";
      refuse(field, `the client option ${option}`, list(capabilities.clientOptions));
    }
  }
  if (request.serverOptimizer !== "none" && !capabilities.serverOptimizers) {
    refuse("serverOptimizer.kind", `server optimizer ${request.serverOptimizer}`, "none");
  }
  if (request.stale && !capabilities.toleratesStale) {
    refuse("policy.kind", "updates of earlier rounds (policy buffered)", "synchronous");
  }
  const unit = request.privacyUnit;
  if (unit !== undefined && !privacyUnits.includes(unit)) {
    refuse("privacy.mode", `the privacy unit ${unit}`, list(privacyUnits));
  }
  if (unit === "client" && sees !== "sum") {
    refuse("privacy.mode", `noise on one sum, since it needs ${sees}`, "modes example and local");
  }
  if (request.secureSum && sees === "individual-updates") {
    refuse("secureAggregation", "secure sums, since it must see individual updates", "plain updates");
  }
}

/** Why a client cannot carry out an instruction, in words; undefined: it can. The round driver then passes it over. */
export function clientMismatch(
  client: ClientCapability,
  instruction: ClientInstruction,
  codec: string,
): string | undefined {
  for (const name of [instruction.codec ?? codec, instruction.downloadCodec ?? "f32"]) {
    if (!client.codecs.includes(codecOf(name).family)) return `it lacks codec ${name}`;
  }
  const missing = instruction.directives
    .map(({ kind, version }) => `${kind}@${version}`)
    .find((directive) => !client.directives.includes(directive));
  if (missing !== undefined) return `it lacks directive ${missing}`;
  const rank = largestRank(instruction.roles);
  if (client.maxRank !== undefined && rank > client.maxRank) {
    return `its largest rank is ${client.maxRank}, the plan needs ${rank}`;
  }
  return undefined;
}

function largestRank(roles: TensorRoles): number {
  const ranks = roles.filter(({ spec }) => spec.name.endsWith(".lora_A.weight")).map(({ spec }) => spec.shape[0] ?? 0);
  return Math.max(0, ...ranks);
}
