import type { AdminClient, BaseDelta, OpenBaseDelta } from "@fedlora/client-sdk";
import {
  compareNames,
  FedLoraError,
  moduleOfTensor,
  readSafetensors,
  resolveAdapter,
  tensorKindOf,
  type AdaptableModule,
  type RunId,
  type RunSpec,
  type StateDict,
} from "@fedlora/core";
import { SafetensorsFile } from "@fedlora/core/node";
import type { ExportedAdapter } from "@fedlora/proto";
import { join } from "node:path";

/** A linear module that differs from the base model's: W + scaling B A + the changes of the base weights. */
export interface ExportModule extends Pick<AdaptableModule, "name" | "dIn" | "dOut"> {
  /** Of A [rank, dIn] and B [dOut, rank]; 0 where the adapter has none. */
  readonly rank: number;
  /** 1 where the adapter has none. */
  readonly scaling: number;
}

/** A round of a run as the coordinator gives it out, before anything is made of it. */
export interface ExportSource {
  readonly spec: RunSpec;
  readonly exported: ExportedAdapter;
  /** Plain LoRA pairs and heads. */
  readonly adapter: StateDict;
  /** The adapter's file, whose id is `exported.adapter.id`. */
  readonly adapterBytes: Uint8Array;
}

/** @throws FedLoraError `export-refused` for a form that would be another model, `run-not-found` */
export async function fetchExport(
  admin: AdminClient,
  runId: RunId,
  round: number,
  form: string,
): Promise<ExportSource> {
  const exported = await admin.getExport(runId, round, form);
  const { spec } = await admin.getRun(runId);
  const adapterBytes = await admin.getBlob(exported.adapter.id);
  return { spec, exported, adapter: readSafetensors(adapterBytes).tensors, adapterBytes };
}

/**
 * Downloads the changes of the base weights, oldest first, one file each, since together they may be as large as the model.
 *
 * @param onProgress after each, with the number of them that are there
 */
export async function fetchBaseDeltas(
  admin: AdminClient,
  { baseDeltas }: Pick<ExportedAdapter, "baseDeltas">,
  folder: string,
  { signal, onProgress }: { readonly signal?: AbortSignal; readonly onProgress?: (done: number) => void } = {},
): Promise<readonly (BaseDelta & { readonly source: string })[]> {
  const files: (BaseDelta & { readonly source: string })[] = [];
  let reached = 0;
  for (const { fromVersion, toVersion, blob } of baseDeltas) {
    if (fromVersion !== reached || toVersion <= fromVersion) {
      throw new FedLoraError("internal", `the changes of the base weights have a gap before version ${toVersion}`);
    }
    const source = join(folder, `${toVersion}.safetensors`);
    await admin.saveBlob(blob.id, source, signal);
    files.push({ id: blob.id, source });
    reached = toVersion;
    onProgress?.(files.length);
  }
  return files;
}

/** Every module that the adapter or a change names, by name; sizes are those of the tensors. */
export function exportModules(
  { spec, adapter }: Pick<ExportSource, "spec" | "adapter">,
  deltaFiles: readonly { readonly source: string }[],
): readonly ExportModule[] {
  const sizes = new Map<string, { dIn: number; dOut: number; rank: number }>();
  const grow = (name: string): { dIn: number; dOut: number; rank: number } => {
    const size = sizes.get(name) ?? { dIn: 0, dOut: 0, rank: 0 };
    sizes.set(name, size);
    return size;
  };
  for (const [name, { shape }] of adapter) {
    const kind = tensorKindOf(name);
    const [rows = 0, columns = 0] = shape;
    if (kind === "lora-a") Object.assign(grow(moduleOfTensor(name)), { rank: rows, dIn: columns });
    else if (kind === "lora-b") grow(moduleOfTensor(name)).dOut = rows;
  }
  const adapted = [...sizes].map(([name, size]) => ({ name, kind: "linear" as const, layer: null, ...size }));
  for (const { source } of deltaFiles) {
    const file = new SafetensorsFile(source);
    file.close();
    for (const [key, { shape }] of file.header.tensors) {
      const [, name, part] = /^base_model\.model\.(.+)\.delta(_A|_B)?\.weight$/u.exec(key) ?? [];
      const [rows = 0, columns = 0] = shape;
      if (name === undefined) throw new FedLoraError("internal", `a change of the base weights holds "${key}"`);
      if (part !== "_B") grow(name).dIn = columns;
      if (part !== "_A") grow(name).dOut = rows;
    }
  }
  const scalings = scalingsOf(spec, adapted);
  return [...sizes]
    .map(([name, size]) => ({ name, ...size, scaling: scalings.get(name) ?? 1 }))
    .sort((a, b) => compareNames(a.name, b.name));
}

/** By the run's patterns; which modules are adapted is known from the tensors, without the model's manifest. */
function scalingsOf({ adapter, task }: RunSpec, modules: readonly AdaptableModule[]): ReadonlyMap<string, number> {
  const targetModules = modules.map(({ name }) => name);
  const named = { ...adapter, variant: "lora" as const, targetModules, modulesToSave: [] };
  const resolved = resolveAdapter(named, { modules, heads: [] }, task);
  return new Map(resolved.modules.map(({ name, scaling }) => [name, scaling]));
}

/** What `OpenBaseDelta.open` checks a change against. */
export const asManifest = (modules: readonly ExportModule[]): { readonly modules: readonly AdaptableModule[] } => ({
  modules: modules.map(({ name, dIn, dOut }) => ({ name, kind: "linear", dIn, dOut, layer: null })),
});

/** Opens changes for a task and closes them afterwards. */
export async function withOpenDeltas<T>(
  files: readonly BaseDelta[],
  modules: readonly ExportModule[],
  task: (deltas: readonly OpenBaseDelta[]) => Promise<T>,
): Promise<T> {
  const { OpenBaseDelta } = await import("@fedlora/client-sdk");
  const deltas: OpenBaseDelta[] = [];
  try {
    for (const file of files) deltas.push(await OpenBaseDelta.open(file, asManifest(modules)));
    return await task(deltas);
  } finally {
    for (const delta of deltas) await delta.close();
  }
}
