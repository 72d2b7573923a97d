import type { AdminClient } from "@fedlora/client-sdk";
import { FedLoraError, systemClock, type BaseModelHash, type RunId } from "@fedlora/core";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { formatBytes } from "../output.js";
import { exportModules, fetchBaseDeltas, fetchExport, withOpenDeltas, type ExportSource } from "./export-source.js";
import type { MadeAdapter } from "./made-adapter.js";
import { slowNotes } from "./slow-notes.js";
import { stackAdapter } from "./stack-adapter.js";
import { relativeLeftOut, truncateAdapter, type ModuleTruncation } from "./truncate-adapter.js";
import { assertFolderFits, writeAdapterFolder } from "./write-adapter.js";

export interface ExportRequest {
  readonly runId: RunId;
  /** 0: the best round, or the last where nothing was evaluated. */
  readonly round: number;
  readonly form: string;
  readonly out: string;
  /** Base-model folder, for `merged`. */
  readonly model?: string | undefined;
  /** Largest rank, for `truncated`. */
  readonly rank?: number | undefined;
}

export interface ExportResult {
  readonly folder: string;
  readonly form: string;
  readonly round: number;
  /** Id of the adapter as the run holds it. */
  readonly adapter: string;
  /** Of the weights file. */
  readonly bytes: number;
  /** Version of the base weights that the adapter counts on. */
  readonly baseVersion: number;
  /** Largest rank of a module. */
  readonly rank?: number;
  /** Left out by a truncation, over the norm of all that the adapter stands for. */
  readonly leftOut?: number;
  readonly modules?: readonly ModuleTruncation[];
}

/** Checks what can be checked before a coordinator is asked. Throws `config-invalid`. */
export function assertExportOptions({ form, model, rank }: Pick<ExportRequest, "form" | "model" | "rank">): void {
  const refuse = (message: string): never => {
    throw new FedLoraError("config-invalid", message);
  };
  if (form === "merged" && model === undefined) {
    refuse("--form merged needs --model FOLDER: the base model, whose weights are written with the run's changes");
  }
  if (form !== "merged" && model !== undefined) refuse(`--model goes with --form merged, not with "${form}"`);
  if (form !== "truncated" && rank !== undefined) refuse(`--rank goes with --form truncated, not with "${form}"`);
}

/**
 * Writes a round of a run as files. Scratch files lie beside the result, where there has to be room anyway, and are removed.
 *
 * @param note told what takes longer than two seconds, and what is worth knowing of the result
 * @throws FedLoraError `config-invalid`, `export-refused`, `model-hash-mismatch`, `cancelled`, and the coordinator's
 */
export async function exportRun(
  admin: AdminClient,
  request: ExportRequest,
  note: (text: string) => void,
  signal: AbortSignal,
): Promise<ExportResult> {
  assertExportOptions(request);
  await assertFolderFits(request.out, request.form === "merged" ? "model" : "adapter");
  const source = await fetchExport(admin, request.runId, request.round, request.form);
  const { spec, exported } = source;
  const common = {
    folder: request.out,
    form: request.form,
    round: exported.round,
    adapter: exported.adapter.id,
    baseVersion: exported.baseDeltas.length,
  };
  if (request.form === "peft") {
    const bytes = await writeAdapterFolder(request.out, source.adapterBytes, exported.adapterConfig, spec.task);
    return { ...common, bytes };
  }
  await mkdir(request.out, { recursive: true });
  const scratch = await mkdtemp(join(request.out, ".export-"));
  const tools: Tools = { admin, request, source, scratch, note, signal, slow: slowNotes(systemClock, note) };
  try {
    if (request.form === "merged") return { ...common, bytes: await writeMerged(tools) };
    return { ...common, ...(await writeMade(tools)) };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

interface Tools {
  readonly admin: AdminClient;
  readonly request: ExportRequest;
  readonly source: ExportSource;
  readonly scratch: string;
  readonly note: (text: string) => void;
  readonly slow: (text: string) => void;
  readonly signal: AbortSignal;
}

function fetchDeltas({ admin, source, scratch, slow, signal }: Tools): ReturnType<typeof fetchBaseDeltas> {
  const { exported } = source;
  const onProgress = (done: number): void =>
    slow(`downloaded ${done} of ${exported.baseDeltas.length} changes of the base weights`);
  return fetchBaseDeltas(admin, exported, scratch, { signal, onProgress });
}

async function writeMerged(tools: Tools): Promise<number> {
  const { request, source, slow, signal } = tools;
  const { saveMergedModel } = await import("@fedlora/client-sdk");
  const { spec, adapter } = source;
  const { bytes } = await saveMergedModel({
    modelFolder: request.model ?? "",
    baseModelHash: spec.model.hash as BaseModelHash,
    target: request.out,
    deltas: () => fetchDeltas(tools),
    adapter: { spec: { ...spec.adapter, variant: "lora" }, task: spec.task, tensors: adapter },
    onProgress: (written, total) => slow(`merged ${formatBytes(written)} of ${formatBytes(total)}`),
    signal,
  });
  return bytes;
}

async function writeMade(tools: Tools): Promise<Pick<ExportResult, "bytes" | "rank" | "leftOut" | "modules">> {
  const { request, source, note, slow, signal } = tools;
  const { spec, exported, adapter } = source;
  const files = await fetchDeltas(tools);
  const modules = exportModules(source, files);
  const write = ({ tensors, config }: MadeAdapter): Promise<number> =>
    writeAdapterFolder(request.out, tensors, { ...exported.adapterConfig, ...config }, spec.task);
  return withOpenDeltas(files, modules, async (deltas) => {
    if (request.form === "stacked") {
      const stacked = await stackAdapter(modules, adapter, deltas);
      const rank = Math.max(...stacked.ranks.values());
      const full = modules.find(({ name, dIn, dOut }) => (stacked.ranks.get(name) ?? 0) > Math.min(dIn, dOut));
      if (full !== undefined) {
        const side = Math.min(full.dIn, full.dOut);
        note(
          `"${full.name}" has rank ${stacked.ranks.get(full.name)}, above its smaller side ${side}: ` +
            `--form truncated --rank ${side} holds the same in fewer bytes, --form merged in none`,
        );
      }
      return { bytes: await write(stacked), rank };
    }
    const truncated = await truncateAdapter(modules, adapter, deltas, {
      rank: request.rank,
      onProgress: (done) => slow(`decomposed ${done} of ${modules.length} modules`),
      signal,
    });
    const rank = Math.max(...truncated.ranks.values());
    const leftOut = relativeLeftOut(truncated.modules);
    return { bytes: await write(truncated), rank, leftOut, modules: truncated.modules };
  });
}
