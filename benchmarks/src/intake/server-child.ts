import { noopLogger, systemClock, type BlobId, type ClientId, type PlanId } from "@fedlora/core";
import { createSigner, openFileStorage, startTransport, type BlobStore } from "@fedlora/coordinator";
import { createCallAdapters, FakeService, sampleUpdate, startGrpcServer } from "@fedlora/coordinator/testing";
import { uploadChunkFromWire, type AdminHandlers, type CoordinatorHandlers } from "@fedlora/proto";
import { generateKeyPairSync } from "node:crypto";
import type { ServerRequest } from "./server-process.js";
import { sinkBlobChunks } from "./sink-blob.js";

type DurableRequest = Extract<ServerRequest, { readonly kind: "durable" }>;

/**
 * The measured side. `durable` is the coordinator's own intake on a folder; `sink` is its gRPC server with handlers that
 * count and forget, so that the difference is what hashing, validation and the disk cost.
 */
process.on("message", (request: ServerRequest) => {
  void answer(request).then((value) => process.send?.(value));
});

async function answer(request: ServerRequest): Promise<unknown> {
  switch (request.kind) {
    case "durable":
      return startDurable(request);
    case "sink":
      return startSink(request.rows);
    case "peak":
      // In KiB on every platform that Node runs on.
      return process.resourceUsage().maxRSS / 1024;
  }
}

async function startDurable(request: DurableRequest): Promise<{ port: number; blobId: string }> {
  const { folder, rows } = request;
  const { layout } = sampleUpdate(2);
  const wanted = layout.map((spec) => ({ ...spec, shape: [rows / 2, 256] }));
  const storage = await openFileStorage({ folder });
  const { privateKey } = generateKeyPairSync("ed25519");
  const service = new FakeService(createSigner(privateKey));
  const fake = { ...service.clients };
  const clients: Partial<typeof fake> = {
    ticket: (clientId: ClientId, planId: PlanId) => {
      if (!service.plans.has(planId)) service.offer(clientId, planId, wanted);
      return fake.ticket(clientId, planId);
    },
    accept: async (clientId, planId, update) => {
      const receipt = await fake.accept(clientId, planId, update);
      // As at a round's commit, so that a long run does not fill the disk.
      await storage.blobs.delete(update.blobId);
      return receipt;
    },
  };
  Object.assign(service.clients, clients);
  // Only where it is measured: a file of this size in memory would be most of the peak.
  const blobId = request.download ? await storeUpdate(storage.blobs, rows) : "";
  if (blobId !== "") service.readable.set(blobId, await storage.blobs.size(blobId));
  const transport = await startTransport({
    service,
    blobs: storage.blobs,
    coordinatorKey: privateKey,
    clock: systemClock,
    logger: noopLogger,
    host: "127.0.0.1",
    port: 0,
    insecure: false,
    pollWaitMs: 1000,
  });
  return { port: transport.port, blobId };
}

async function storeUpdate(blobs: BlobStore, rows: number): Promise<BlobId> {
  return blobs.put(sampleUpdate(rows).file);
}

async function startSink(rows: number): Promise<{ port: number; blobId: string }> {
  const calls = createCallAdapters(noopLogger);
  const handlers: Partial<CoordinatorHandlers> = {
    PutChunks: calls.clientStream("PutChunks", async (requests) => {
      let nextOffset = 0;
      for await (const request of requests) nextOffset += uploadChunkFromWire(request).data.byteLength;
      return { nextOffset };
    }),
    GetBlob: calls.serverStream("GetBlob", async (_request, _context, write) => {
      for (const chunk of sinkBlobChunks(rows)) await write(chunk);
    }),
  };
  const server = await startGrpcServer({
    host: "127.0.0.1",
    port: 0,
    insecure: false,
    handlers: { coordinator: handlers as CoordinatorHandlers, admin: {} as AdminHandlers },
    logger: noopLogger,
  });
  return { port: server.port, blobId: "0".repeat(64) };
}
