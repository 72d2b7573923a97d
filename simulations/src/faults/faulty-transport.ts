import type { BlobChunk, BlobReference, Transport } from "@fedlora/client-sdk";
import {
  FedLoraError,
  blobIdOf,
  chunkBytes,
  readSafetensors,
  sha256,
  writeSafetensors,
  type BlobId,
  type Clock,
  type PlanId,
  type RoundPlan,
  type UpdateMetrics,
  type UpdateReceipt,
} from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import type { Misbehaviour } from "../scenario/fault-schema.js";
import type { Behaviour, Behaviours } from "./behaviour.js";

export interface FaultyTransportParts {
  readonly inner: Transport;
  readonly behaviours: Behaviours;
  readonly behaviour: Behaviour;
  readonly client: number;
  readonly clock: Clock;
  /** The bytes of the update that is about to be sent. */
  readonly updateOf: (planId: PlanId) => Promise<Uint8Array>;
  readonly vanish: () => void;
}

/** What happens to a client's updates on their way: they are lost, late, sent twice, damaged, or poisoned. */
export class FaultyTransport implements Transport {
  readonly #parts: FaultyTransportParts;
  #plan: RoundPlan | undefined;
  /** What is sent in the place of the client's own update. */
  #poisoned: { readonly own: BlobReference; readonly bytes: Uint8Array; readonly id: BlobId } | undefined;
  #isDamaged = false;
  #damagedPlan: PlanId | undefined;

  constructor(parts: FaultyTransportParts) {
    this.#parts = parts;
  }

  enrol(...args: Parameters<Transport["enrol"]>): ReturnType<Transport["enrol"]> {
    return this.#parts.inner.enrol(...args);
  }

  async poll(...args: Parameters<Transport["poll"]>): ReturnType<Transport["poll"]> {
    const answer = await this.#parts.inner.poll(...args);
    if (answer.kind === "plan") this.#plan = answer.plan;
    return answer;
  }

  getBlob(...args: Parameters<Transport["getBlob"]>): AsyncIterable<BlobChunk> {
    return this.#parts.inner.getBlob(...args);
  }

  async beginUpload(planId: PlanId, blob: BlobReference, signal: AbortSignal): ReturnType<Transport["beginUpload"]> {
    const { inner, behaviour, clock, updateOf, vanish } = this.#parts;
    if (this.#does("lost")) {
      vanish();
      signal.throwIfAborted();
    }
    const late = behaviour.get("late");
    if (late?.kind === "late" && this.#does("late")) await clock.sleep(late.delayMs, signal);
    this.#isDamaged = this.#damagedPlan !== planId && this.#does("corrupted");
    this.#damagedPlan = planId;
    this.#poisoned = undefined;
    if (!this.#does("not-finite")) return inner.beginUpload(planId, blob, signal);
    const bytes = poison(await updateOf(planId));
    const id = blobIdOf(bytes, nodeSha256);
    this.#poisoned = { own: blob, bytes, id };
    return inner.beginUpload(planId, { id, size: bytes.byteLength }, signal);
  }

  async putChunks(uploadId: string, chunks: AsyncIterable<BlobChunk>, signal: AbortSignal): Promise<number> {
    const poisoned = this.#poisoned;
    if (poisoned === undefined) return this.#parts.inner.putChunks(uploadId, this.#damaged(chunks), signal);
    const sent = await this.#parts.inner.putChunks(uploadId, chunksOf(poisoned.bytes), signal);
    return sent === poisoned.bytes.byteLength ? poisoned.own.size : sent;
  }

  putChunk(...args: Parameters<Transport["putChunk"]>): ReturnType<Transport["putChunk"]> {
    return this.#parts.inner.putChunk(...args);
  }

  async commit(
    planId: PlanId,
    uploadId: string | undefined,
    metrics: UpdateMetrics,
    signal: AbortSignal,
  ): Promise<UpdateReceipt> {
    const { inner } = this.#parts;
    const receipt = await inner.commit(planId, uploadId, metrics, signal);
    // The coordinator answers a repeated update with the same receipt, or it would count twice.
    if (uploadId !== undefined && this.#does("duplicated")) {
      const again = await inner.commit(planId, uploadId, metrics, signal);
      if (again.sequence !== receipt.sequence) {
        throw new FedLoraError("internal", `plan ${planId} was accepted twice`);
      }
    }
    const poisoned = this.#poisoned;
    this.#poisoned = undefined;
    return poisoned === undefined || uploadId === undefined ? receipt : { ...receipt, blobId: poisoned.own.id };
  }

  decline(...args: Parameters<Transport["decline"]>): ReturnType<Transport["decline"]> {
    return this.#parts.inner.decline(...args);
  }

  report(...args: Parameters<Transport["report"]>): ReturnType<Transport["report"]> {
    return this.#parts.inner.report(...args);
  }

  close(): Promise<void> {
    return this.#parts.inner.close();
  }

  #does(kind: Misbehaviour["kind"]): boolean {
    const { behaviours, behaviour, client } = this.#parts;
    return behaviours.happens(behaviour, kind, client, this.#plan?.round ?? 0);
  }

  /** The first chunk with a bit turned, once; its hash tells. */
  async *#damaged(chunks: AsyncIterable<BlobChunk>): AsyncGenerator<BlobChunk> {
    for await (const chunk of chunks) {
      if (!this.#isDamaged) {
        yield chunk;
        continue;
      }
      this.#isDamaged = false;
      const data = Uint8Array.from(chunk.data);
      data[data.length - 1] = (data.at(-1) ?? 0) ^ 1;
      yield { ...chunk, data };
    }
  }
}

/** The same file with a NaN as the last value of its first float tensor. */
function poison(bytes: Uint8Array): Uint8Array {
  const { tensors, metadata } = readSafetensors(bytes);
  const [target] = [...tensors].filter(([, { dtype }]) => dtype === "F32");
  if (target === undefined) return bytes;
  const [name, tensor] = target;
  const values = Uint8Array.from(tensor.bytes);
  new DataView(values.buffer).setFloat32(values.byteLength - 4, Number.NaN, true);
  return writeSafetensors(new Map([...tensors, [name, { ...tensor, bytes: values }]]), {
    metadata: Object.fromEntries(metadata),
  });
}

// eslint-disable-next-line @typescript-eslint/require-await -- a stream, as the transport takes it
async function* chunksOf(bytes: Uint8Array): AsyncGenerator<BlobChunk> {
  for (let offset = 0; offset < bytes.byteLength; offset += chunkBytes) {
    const data = bytes.subarray(offset, offset + chunkBytes);
    yield { offset, data, sha256: sha256(data, nodeSha256), total: bytes.byteLength };
  }
}
