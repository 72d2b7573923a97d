import { initialisationOf } from "@fedlora/aggregators";
import { FedLoraError, initialAdapter, readSafetensors, writeSafetensors } from "@fedlora/core";
import type { BlobId, StateDict } from "@fedlora/core";
import { rm } from "node:fs/promises";

import { FileSink } from "../aggregate/file-sink.js";
import type { BlobStore } from "../storage/storage.js";
import type { BlobKeeper } from "./blob-keeper.js";
import type { RunContext } from "./run-context.js";
import type { BaseDeltaRef, BlobRef } from "./run-events.js";

/** What a run starts from. Its blobs are pinned. */
export interface RunStart {
  /** The adapter of round 0. */
  readonly adapter: BlobRef;
  /** Where the initialisation takes something out of the base weights. */
  readonly baseDelta?: BaseDeltaRef;
}

/** Throws `adapter-invalid`: the initialisation's file was not sent, or is not an adapter of this run. */
export async function makeStart(blobs: BlobStore, keeper: BlobKeeper, context: RunContext): Promise<RunStart> {
  const { spec, layout, scalings, adapter } = context;
  const initialisation = initialisationOf({ spec, adapterLayout: layout, scalings });
  const given = spec.adapter.init.kind === "file" ? await readGiven(blobs, spec.adapter.init.hash) : undefined;
  const start = initialisation.start(initialAdapter(adapter, spec.training.seed), given);
  const ref = await keeper.put(writeSafetensors(start));
  if (initialisation.writeBaseDelta === undefined) return { adapter: ref };
  const path = blobs.scratchPath();
  const sink = new FileSink(path);
  try {
    const { fromVersion, toVersion } = initialisation.writeBaseDelta(start, sink);
    sink.close();
    return { adapter: ref, baseDelta: { fromVersion, toVersion, blob: await keeper.putFile(path) } };
  } catch (thrown) {
    keeper.unpin([ref.id]);
    throw thrown;
  } finally {
    sink.close();
    await rm(path, { force: true });
  }
}

async function readGiven(blobs: BlobStore, hash: string): Promise<StateDict> {
  const id = hash as BlobId;
  if (!(await blobs.has(id))) {
    const message = `adapter.init.hash: blob ${id} is not here; send it with \`fedlora run create --adapter FILE\``;
    throw new FedLoraError("adapter-invalid", message, { details: { blobId: id } });
  }
  return readSafetensors(await blobs.read(id, 0, await blobs.size(id))).tensors;
}
