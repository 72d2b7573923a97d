import { parseDocument } from "yaml";
import { resolveAdapter } from "../adapter/lora-config.js";
import { FedLoraError } from "../errors.js";
import type { ErrorCode } from "../errors.js";
import { parseStrictJson } from "../json/strict-json.js";
import type { ModelManifest } from "../model/manifest.js";
import { distributeRanks } from "./distribute-ranks.js";
import { explainIssues } from "./explain.js";
import { runSpecSchema } from "./schema.js";
import type { RunSpec } from "./schema.js";

const maxTextLength = 1024 * 1024;
const maxProblems = 10;

export interface CompileRunSpecOptions {
  /** The base model, where it is known: its hash and its module names are then checked as well. */
  readonly manifest?: ModelManifest | undefined;
}

/**
 * A complete, validated run spec of what a person wrote: defaults are filled in, those that depend on other fields
 * included (alpha, positiveLabel, localEpochs, quorum; with a manifest the ranks that a LEGEND plan distributes), so that
 * nobody has to know them afterwards. It compiles to itself.
 *
 * @throws FedLoraError `spec-invalid`, its message a line per problem with the field's path, what was got and what is
 *   allowed, `details.path` the first path; `model-hash-mismatch`, `target-modules-unmatched` with a manifest
 */
export function compileRunSpec(input: unknown, { manifest }: CompileRunSpecOptions = {}): RunSpec {
  const parsed = runSpecSchema.safeParse(withPrivateDefaults(input));
  if (!parsed.success) {
    const problems = explainIssues(parsed.error.issues, input);
    const shown = problems.slice(0, maxProblems).map(({ message }) => message);
    if (problems.length > maxProblems) shown.push(`and ${problems.length - maxProblems} more`);
    throw new FedLoraError("spec-invalid", shown.join("\n"), { details: { path: problems[0]?.path ?? "" } });
  }
  const spec = withDependentDefaults(parsed.data);
  if (manifest === undefined) return spec;
  assertModel(manifest, spec);
  const complete = { ...spec, adapter: distributeRanks(spec, manifest) };
  assertRanksFit(manifest, complete);
  return complete;
}

/**
 * A run spec from YAML 1.2 or JSON text of at most 1 MiB. Repeated keys and YAML aliases are refused.
 *
 * @throws FedLoraError as `compileRunSpec`, and `spec-invalid` with the place where the text is malformed
 */
export function parseRunSpec(text: string, options: CompileRunSpecOptions = {}): RunSpec {
  return compileRunSpec(parseSpecText(text, "the run spec", "spec-invalid"), options);
}

/**
 * YAML 1.2 or JSON text of at most 1 MiB as a plain value. Repeated keys and YAML aliases are refused with the code given.
 *
 * @param name what it is, for messages: `the run spec`
 */
export function parseSpecText(text: string, name: string, code: ErrorCode): unknown {
  if (text.length > maxTextLength) {
    throw new FedLoraError(code, `${name} has ${text.length} characters, at most ${maxTextLength}`);
  }
  if (text.trimStart().startsWith("{")) {
    parseStrictJson(text, name, code);
    return JSON.parse(text);
  }
  const document = parseDocument(text, { version: "1.2", prettyErrors: true, uniqueKeys: true });
  const problem = document.errors[0] ?? document.warnings[0];
  try {
    if (problem !== undefined) throw problem;
    return document.toJS({ maxAliasCount: 0 });
  } catch (cause) {
    throw new FedLoraError(code, `${name} is not YAML: ${(cause as Error).message}`, { cause });
  }
}

/** Weights by example counts are no default where the counts are private. */
function withPrivateDefaults(input: unknown): unknown {
  if (typeof input !== "object" || input === null) return input;
  const { privacy, weighting } = input as {
    readonly privacy?: { readonly mode?: unknown } | null;
    weighting?: unknown;
  };
  const isPrivate = typeof privacy?.mode === "string" && privacy.mode !== "none";
  return isPrivate && weighting === undefined ? { ...input, weighting: { kind: "uniform" } } : input;
}

function withDependentDefaults(spec: RunSpec): RunSpec {
  const { task, adapter, cohort, training, privacy } = spec;
  // A cohort drawn by Poisson sampling may be empty, and its release is due all the same.
  const quorum = privacy.mode === "client" ? undefined : (cohort.quorum ?? Math.ceil(cohort.size / 2));
  const lastLabel = task.kind === "sequence-classification" ? task.labels.at(-1) : undefined;
  return {
    ...spec,
    task: task.kind === "sequence-classification" ? { ...task, positiveLabel: task.positiveLabel ?? lastLabel } : task,
    adapter: { ...adapter, alpha: adapter.alpha ?? 2 * adapter.rank },
    cohort: quorum === undefined ? cohort : { ...cohort, quorum },
    training: training.localSteps === undefined ? { ...training, localEpochs: training.localEpochs ?? 1 } : training,
  };
}

function assertModel(manifest: ModelManifest, spec: RunSpec): void {
  if (spec.model.hash !== manifest.hash) {
    throw new FedLoraError(
      "model-hash-mismatch",
      `model.hash is ${spec.model.hash}, the base model "${manifest.name}" has ${manifest.hash}`,
      { details: { path: "model.hash" } },
    );
  }
}

function assertRanksFit(manifest: ModelManifest, spec: RunSpec): void {
  const { modules, variant } = resolveAdapter(spec.adapter, manifest, spec.task);
  for (const { name, rank, dIn, dOut } of modules) {
    // VeRA trains two vectors, so that a high rank costs little.
    if (variant === "vera" || rank <= Math.min(dIn, dOut)) continue;
    throw new FedLoraError(
      "spec-invalid",
      `adapter.rank: ${rank} is above the smaller side of "${name}" [${dOut}, ${dIn}]: at most ${Math.min(dIn, dOut)} adds anything; set adapter.rank or adapter.rankPattern`,
      { details: { path: "adapter.rank", module: name } },
    );
  }
}
