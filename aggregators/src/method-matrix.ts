import { adapterLayout, codecOf, compileRunSpec, elementCount, planSafetensors, resolveAdapter } from "@fedlora/core";
import type { ClientId, ModelManifest, TensorLayout } from "@fedlora/core";
import { compileMethod } from "./compile-method.js";
import type { ClientInstruction, Method, MethodCapabilities, MethodDefinition } from "./method.js";
import { createMethodRegistry } from "./registry.js";

/** What travels in one round, per client. */
export interface RoundTraffic {
  readonly phase: string;
  /** Values of the tensors that go up and down. */
  readonly valuesUp: number;
  readonly valuesDown: number;
  /** Sizes of the files that carry them, headers included. */
  readonly fileBytesUp: number;
  readonly fileBytesDown: number;
}

export interface MethodRow {
  readonly name: string;
  readonly version: number;
  readonly paper: string;
  readonly summary: string;
  readonly capabilities: MethodCapabilities;
  /** Whether secure sums are enough for it. */
  readonly secureSums: boolean;
  /** Tensors that it keeps on the client, by the names' endings. */
  readonly clientState: readonly string[];
  /** Whether what a lossy codec left out comes with the client's next update, where the run says so. */
  readonly errorFeedback: boolean;
  /** Two rounds in a row: methods that alternate send other tensors in the second. */
  readonly rounds: readonly RoundTraffic[];
  /** Values of the tensors that travel once, by hash: frozen ones, and what clients keep as it is in round 0. */
  readonly valuesOnce: number;
  /** Values of the round's change to the base weights, down to every client, for this many contributors. */
  readonly valuesBaseDelta: number;
}

export interface MatrixRequest {
  readonly model: Pick<ModelManifest, "modules" | "heads">;
  readonly rank: number;
  /** As in a run spec. */
  readonly targetModules: readonly string[] | string;
  readonly contributors: number;
  readonly codec?: string;
}

/**
 * The table of methods, made of their declarations: what each needs, allows and sends for a model, a rank and a number of
 * contributors. Options are the methods' defaults.
 */
export function methodMatrix(definitions: Iterable<MethodDefinition>, request: MatrixRequest): readonly MethodRow[] {
  return [...definitions].map((definition) => rowOf(definition, request));
}

function rowOf(definition: MethodDefinition, request: MatrixRequest): MethodRow {
  const { name, version, paper, summary, capabilities } = definition;
  const method = methodFor(definition, request);
  const [first, second] = [instructionFor(method, 1), instructionFor(method, 2)];
  const trainedByTurns = new Set(second.roles.filter(({ trained }) => trained).map((role) => role.spec.name));
  const once = first.roles.filter(
    ({ spec, trained, downloaded, keep }) =>
      !downloaded && (keep !== "none" || (!trained && !trainedByTurns.has(spec.name))),
  );
  return {
    ...{ name, version, paper, summary, capabilities },
    secureSums: capabilities.sees !== "individual-updates",
    clientState: [...new Set(method.clientState()?.tensors.map((spec) => endingOf(spec.name)) ?? [])],
    errorFeedback: first.errorFeedback !== false,
    // In the long run every round follows one of the other kind.
    rounds: [trafficOf(method, 1, second, request), trafficOf(method, 2, first, request)],
    valuesOnce: valuesOf(once.map(({ spec }) => spec)),
    valuesBaseDelta: (method.baseDeltaBytes?.(request.contributors) ?? 0) / 4,
  };
}

function methodFor(definition: MethodDefinition, request: MatrixRequest): Method {
  const { model, rank, targetModules, codec = "f32" } = request;
  const [variant = "lora"] = definition.capabilities.variants;
  const [weighting = "uniform"] = definition.capabilities.weightings;
  const spec = compileRunSpec({
    name: "matrix",
    model: { hash: "0".repeat(64) },
    task: { kind: "causal-lm" },
    adapter: {
      rank,
      targetModules: typeof targetModules === "string" ? targetModules : [...targetModules],
      variant: variant === "rslora" ? "lora" : variant,
    },
    method: { name: definition.name },
    rounds: 2,
    // Nothing that is asked here depends on it, but rules against hostile updates refuse small cohorts.
    cohort: { size: Math.max(100, request.contributors) },
    weighting: { kind: weighting },
    codec,
  });
  const adapter = resolveAdapter(spec.adapter, model, spec.task);
  const scalings = Object.fromEntries(adapter.modules.map((module) => [module.name, module.scaling]));
  return compileMethod({ spec, adapterLayout: adapterLayout(adapter), scalings }, createMethodRegistry([definition]));
}

function instructionFor(method: Method, round: number): ClientInstruction {
  const state = method.initialState();
  const client = { clientId: "" as ClientId, maxRank: undefined, ranks: undefined, directives: [], codecs: [] };
  return method.prepare(method.phase(state, round), state, client);
}

/** @param before what clients did in the round before: what changed then and travels by hash comes down now */
function trafficOf(
  method: Method,
  round: number,
  before: ClientInstruction,
  { codec = "f32" }: MatrixRequest,
): RoundTraffic {
  const instruction = instructionFor(method, round);
  const uploaded = instruction.roles.filter((role) => role.uploaded).map((role) => role.spec);
  const downloaded = instruction.roles.filter((role) => role.downloaded).map((role) => role.spec);
  const changed = new Set(before.roles.filter((role) => role.uploaded).map((role) => role.spec.name));
  const fetched = instruction.roles
    .filter(({ spec, downloaded: isDownloaded, keep }) => !isDownloaded && keep === "none" && changed.has(spec.name))
    .map((role) => role.spec);
  const fileBytes = (layout: TensorLayout, name: string): number =>
    layout.length === 0 ? 0 : planSafetensors(codecOf(name).encodedLayout(layout)).fileSize;
  return {
    phase: method.phase(method.initialState(), round),
    valuesUp: valuesOf(uploaded),
    valuesDown: valuesOf(downloaded) + valuesOf(fetched),
    fileBytesUp: fileBytes(uploaded, instruction.codec ?? codec),
    fileBytesDown: fileBytes(downloaded, instruction.downloadCodec ?? "f32") + fileBytes(fetched, "f32"),
  };
}

function valuesOf(layout: TensorLayout): number {
  return layout.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

/** `lora_B` of `base_model.model.m.lora_B.weight`. */
function endingOf(name: string): string {
  const parts = name.replace(/\.(weight|bias)$/, "").split(".");
  return parts.at(-1) ?? name;
}
