import { FedLoraError, type PlanId } from "@fedlora/core";
import { chunkOf, refOf, sampleUpdate, TestClient } from "@fedlora/coordinator/testing";
import { limits } from "@fedlora/proto";
import { hash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";

type Chunk = ReturnType<typeof chunkOf>;

/** One update cut into messages. Variants differ in their first chunk only, so that many fit into memory. */
export interface BenchUpdate {
  readonly ref: ReturnType<typeof refOf>;
  readonly chunks: readonly Chunk[];
}

/** Distinct updates of `rows` x 256 values in F32: a store that has one of them does not have the others. */
export function createUpdates(rows: number, count: number): readonly BenchUpdate[] {
  const { file } = sampleUpdate(rows);
  const digests: Chunk[] = [];
  for (let offset = 0; offset < file.byteLength; offset += limits.chunkBytes) digests.push(chunkOf("", file, offset));
  return Array.from({ length: count }, (_, index) => {
    const first = Buffer.from(file.subarray(0, limits.chunkBytes));
    first.writeFloatLE(index, limits.chunkBytes - 4);
    const varied = Buffer.from(file);
    first.copy(varied);
    const ref = refOf(varied);
    return {
      ref,
      chunks: [{ ...digests[0], data: first, sha256: hash("sha256", first, "buffer") }, ...digests.slice(1)],
    };
  });
}

/** Streams chunks and returns the offset that the server answers with. */
export async function streamUp(client: TestClient, uploadId: string, chunks: readonly Chunk[]): Promise<number> {
  const answer = await client.call<{ nextOffset: number }>((done) => {
    const call = client.clients.coordinator.putChunks(client.metadata, done);
    call.on("error", () => undefined);
    void (async () => {
      for (const chunk of chunks) {
        if (!call.write({ ...chunk, uploadId })) await new Promise((resolve) => call.once("drain", resolve));
      }
      call.end();
    })();
  });
  return answer.nextOffset;
}

/** The whole way of an update: begin (coming back when told to), stream, commit. Returns how often it had to wait. */
export async function upload(client: TestClient, planId: PlanId, update: BenchUpdate): Promise<number> {
  for (let waits = 0; ; waits += 1) {
    try {
      const { uploadId } = await client.begin(planId, update.ref);
      await streamUp(client, uploadId, update.chunks);
      await client.commit(planId, uploadId);
      return waits;
    } catch (error) {
      if (!(error instanceof FedLoraError) || error.code !== "upload-busy") throw error;
      await delay(error.retryAfterMs ?? 1000);
    }
  }
}

/** Downloads a blob, checking the chunks where asked; returns its bytes. */
export async function download(client: TestClient, blobId: string, verify: boolean): Promise<number> {
  let bytes = 0;
  for await (const message of client.clients.coordinator.getBlob({ blobId }, client.metadata)) {
    const { data, sha256 } = message as { data: Buffer; sha256: Buffer };
    if (verify && !hash("sha256", data, "buffer").equals(sha256)) throw new Error("a chunk came with a wrong hash");
    bytes += data.byteLength;
  }
  return bytes;
}
