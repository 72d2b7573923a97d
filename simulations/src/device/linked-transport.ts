import type { BlobChunk, BlobReference, Transport } from "@fedlora/client-sdk";
import type { BlobId, Clock, PlanId } from "@fedlora/core";
import type { DeviceProfile } from "./profile.js";

/**
 * A device's link: transfers take the virtual time of its bandwidth. A blob's whole time passes before its first byte moves,
 * so that nothing is held half-transferred at the coordinator; calls without payload take none.
 */
export class LinkedTransport implements Transport {
  readonly #inner: Transport;
  readonly #device: DeviceProfile;
  readonly #clock: Clock;

  constructor(inner: Transport, device: DeviceProfile, clock: Clock) {
    this.#inner = inner;
    this.#device = device;
    this.#clock = clock;
  }

  enrol(...args: Parameters<Transport["enrol"]>): ReturnType<Transport["enrol"]> {
    return this.#inner.enrol(...args);
  }

  poll(...args: Parameters<Transport["poll"]>): ReturnType<Transport["poll"]> {
    return this.#inner.poll(...args);
  }

  async *getBlob(id: BlobId, offset: number, signal: AbortSignal): AsyncGenerator<BlobChunk> {
    let isFirst = true;
    for await (const chunk of this.#inner.getBlob(id, offset, signal)) {
      if (isFirst) await this.#transfer(chunk.total - offset, this.#device.downloadBytesPerSecond, signal);
      isFirst = false;
      yield chunk;
    }
  }

  async beginUpload(planId: PlanId, blob: BlobReference, signal: AbortSignal): ReturnType<Transport["beginUpload"]> {
    await this.#transfer(blob.size, this.#device.uploadBytesPerSecond, signal);
    return this.#inner.beginUpload(planId, blob, signal);
  }

  putChunks(...args: Parameters<Transport["putChunks"]>): ReturnType<Transport["putChunks"]> {
    return this.#inner.putChunks(...args);
  }

  putChunk(...args: Parameters<Transport["putChunk"]>): ReturnType<Transport["putChunk"]> {
    return this.#inner.putChunk(...args);
  }

  commit(...args: Parameters<Transport["commit"]>): ReturnType<Transport["commit"]> {
    return this.#inner.commit(...args);
  }

  decline(...args: Parameters<Transport["decline"]>): ReturnType<Transport["decline"]> {
    return this.#inner.decline(...args);
  }

  report(...args: Parameters<Transport["report"]>): ReturnType<Transport["report"]> {
    return this.#inner.report(...args);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #transfer(bytes: number, bytesPerSecond: number, signal: AbortSignal): Promise<void> {
    await this.#clock.sleep(this.#device.latencyMs + (1000 * bytes) / bytesPerSecond, signal);
  }
}
