import { FedLoraError, type ClientId } from "@fedlora/core";
import {
  blobChunkToWire,
  blobRangeFromWire,
  commitFromWire,
  coordinatorService,
  declineFromWire,
  enrolAnswerToWire,
  enrolmentFromWire,
  errorToStatus,
  metricsFromWire,
  planToWire,
  pollAnswerToWire,
  pollFromWire,
  protocolVersion,
  RefusedMessage,
  receiptToWire,
  reportAnswerToWire,
  reportFromWire,
  sessionMetadataKey,
  uploadChunkFromWire,
  uploadStartFromWire,
  uploadStateToWire,
  type CoordinatorHandlers,
} from "@fedlora/proto";
import { Metadata, Server, ServerCredentials, type sendUnaryData, type ServiceError } from "@grpc/grpc-js";
import type { BlobChunk } from "../transport/transport.js";
import { FakeConnection } from "./fake-connection.js";
import type { FakeCoordinator } from "./fake-coordinator.js";

export interface ServedFake {
  readonly address: string;
  /** As a killed process: every call breaks. */
  stop(): void;
}

const never = new AbortController().signal;

/** A `FakeCoordinator` behind a plain gRPC server on loopback, so that its faults reach a client over a real connection. */
export async function serveFakeCoordinator(fake: FakeCoordinator, port = 0): Promise<ServedFake> {
  const connections = new Map<string, FakeConnection>();
  const connectionOf = (metadata: Metadata): FakeConnection => {
    const [session] = metadata.get(sessionMetadataKey);
    const connection = connections.get(String(session));
    if (connection === undefined) throw new FedLoraError("unauthenticated", "the session is unknown; enrol again");
    return connection;
  };
  const handlers: CoordinatorHandlers = {
    Enrol: unary(async ({ request }) => {
      const info = enrolmentFromWire(request);
      const connection = new FakeConnection(fake);
      const answer = await connection.enrol({ ...info, sign: () => new Uint8Array(64) }, never);
      const session = Buffer.from(`session-${connections.size}-${answer.clientId}`);
      connections.set(session.toString("base64url"), connection);
      return enrolAnswerToWire({
        protocolVersion,
        clientId: answer.clientId as ClientId,
        session,
        coordinatorKey: answer.coordinatorKey,
        pollWaitMs: answer.pollWaitMs,
        directives: [],
      });
    }),
    Poll: unary(async ({ request, metadata }) => {
      const question = pollFromWire(request);
      const answer = await connectionOf(metadata).poll(question, never);
      if (answer.kind === "plan") {
        return pollAnswerToWire({ kind: "plan", plan: planToWire(answer.plan, answer.refs, fake.key) });
      }
      return pollAnswerToWire(answer as Exclude<Parameters<typeof pollAnswerToWire>[0], { kind: "plan" }>);
    }),
    BeginUpload: unary(async ({ request, metadata }) => {
      const { planId, blob } = uploadStartFromWire(request);
      return uploadStateToWire(await connectionOf(metadata).beginUpload(planId, blob, never));
    }),
    PutChunk: unary(async ({ request, metadata }) => {
      const { uploadId, ...chunk } = uploadChunkFromWire(request);
      return { nextOffset: await connectionOf(metadata).putChunk(uploadId, { ...chunk, total: 0 }, never) };
    }),
    PutChunks: (call, done) => {
      const work = async (): Promise<{ nextOffset: number }> => {
        const requests = call[Symbol.asyncIterator]();
        const first = await requests.next();
        if (first.done === true) return { nextOffset: 0 };
        const { uploadId, ...chunk } = uploadChunkFromWire(checked(first.value) as never);
        const chunks = async function* (): AsyncGenerator<BlobChunk> {
          yield { ...chunk, total: 0 };
          for (let next = await requests.next(); next.done !== true; next = await requests.next()) {
            yield { ...uploadChunkFromWire(checked(next.value) as never), total: 0 };
          }
        };
        return { nextOffset: await connectionOf(call.metadata).putChunks(uploadId, chunks(), never) };
      };
      answer(work(), done);
    },
    Commit: unary(async ({ request, metadata }) => {
      const { planId, uploadId, metrics } = commitFromWire(request);
      const receipt = await connectionOf(metadata).commit(planId, uploadId, metricsFromWire(metrics), never);
      return { receipt: receiptToWire(receipt, fake.key.publicKey) };
    }),
    Decline: unary(async ({ request, metadata }) => {
      const { planId, code, reason } = declineFromWire(request);
      await connectionOf(metadata).decline(planId, code, reason, never);
      return {};
    }),
    Report: unary(async ({ request, metadata }) => {
      return reportAnswerToWire(await connectionOf(metadata).report(reportFromWire(request), never));
    }),
    GetBlob: (call) => {
      const work = async (): Promise<void> => {
        const { id, offset } = blobRangeFromWire(checked(call.request));
        for await (const chunk of connectionOf(call.metadata).getBlob(id, offset, never)) {
          if (!call.write(blobChunkToWire(chunk))) await new Promise((resolve) => call.once("drain", resolve));
        }
        call.end();
      };
      work().catch((error: unknown) => call.emit("error", statusOf(error)));
    },
  };
  const server = new Server();
  server.addService(coordinatorService, handlers);
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, got) => {
      if (error === null) resolve(got);
      else reject(error);
    });
  });
  return { address: `127.0.0.1:${bound}`, stop: () => server.forceShutdown() };
}

interface UnaryCall<Request> {
  readonly request: Request;
  readonly metadata: Metadata;
}

function unary<Request, Response>(
  handle: (call: UnaryCall<Request>) => Promise<Response>,
): (call: UnaryCall<Request>, done: sendUnaryData<Response>) => void {
  return (call, done) => {
    const work = async (): Promise<Response> => handle({ request: checked(call.request), metadata: call.metadata });
    answer(work(), done);
  };
}

function answer<Response>(work: Promise<Response>, done: sendUnaryData<Response>): void {
  work.then(
    (response) => done(null, response),
    (error: unknown) => done(statusOf(error)),
  );
}

function checked<Request>(request: Request): Request {
  if (request instanceof RefusedMessage) throw request.error;
  return request;
}

const statusOf = (error: unknown): ServiceError =>
  Object.assign(new Error("call failed"), errorToStatus(FedLoraError.from(error)));
