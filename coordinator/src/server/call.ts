import { FedLoraError, type Logger } from "@fedlora/core";
import { errorToStatus, RefusedMessage } from "@fedlora/proto";
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
} from "@grpc/grpc-js";

/** What a handler knows of its call beside the request. */
export interface CallContext {
  readonly metadata: Metadata;
  /** Aborted when the client is gone or a deadline has passed. */
  readonly signal: AbortSignal;
}

/** Turns promises into grpc-js handlers: one place for error mapping, logging, refused messages and back-pressure. */
export interface CallAdapters {
  unary<Req, Res>(
    name: string,
    handle: (request: Req, context: CallContext) => Promise<Res>,
  ): handleUnaryCall<Req, Res>;
  serverStream<Req, Res>(
    name: string,
    handle: (request: Req, context: CallContext, write: (message: Res) => Promise<void>) => Promise<void>,
  ): handleServerStreamingCall<Req, Res>;
  clientStream<Req, Res>(
    name: string,
    handle: (messages: AsyncIterable<Req>, context: CallContext) => Promise<Res>,
  ): handleClientStreamingCall<Req, Res>;
}

/** Messages of a stream that may be on their way to the socket; more would only wait in memory. */
const maxWritesInFlight = 4;

export function createCallAdapters(logger: Logger): CallAdapters {
  const toStatus = (name: string, thrown: unknown): ReturnType<typeof errorToStatus> => {
    const error = FedLoraError.from(thrown);
    if (error.code !== "internal") {
      logger.debug({ method: name, code: error.code }, error.message);
      return errorToStatus(error);
    }
    logger.error({ method: name, err: thrown }, "a call failed for a reason that is a bug");
    // What went wrong inside is for the log, not for whoever called.
    return errorToStatus(new FedLoraError("internal", `${name} failed; the coordinator's log says why`));
  };
  return {
    unary: (name, handle) => (call, callback) => {
      Promise.resolve()
        .then(() => handle(accepted(call.request), contextOf(call)))
        .then(
          (answer) => callback(null, answer),
          (thrown: unknown) => callback(toStatus(name, thrown)),
        );
    },
    serverStream: (name, handle) => (call) => {
      const context = contextOf(call);
      Promise.resolve()
        .then(() => handle(accepted(call.request), context, createWriter(call, context.signal)))
        .then(
          () => call.end(),
          (thrown: unknown) => call.emit("error", toStatus(name, thrown)),
        );
    },
    clientStream: (name, handle) => (call, callback) => {
      const context = contextOf(call);
      Promise.resolve()
        .then(() => handle(acceptedMessages(call), context))
        .then(
          (answer) => callback(null, answer),
          (thrown: unknown) => callback(toStatus(name, context.signal.aborted ? context.signal.reason : thrown)),
        );
    },
  };
}

type AnyCall =
  ServerUnaryCall<unknown, unknown> | ServerReadableStream<unknown, unknown> | ServerWritableStream<unknown, unknown>;

function contextOf(call: AnyCall): CallContext {
  const controller = new AbortController();
  const cancelled = (): void => controller.abort(new FedLoraError("cancelled", "the client ended the call"));
  // The union of overloads of `once` is no function that TypeScript can call.
  (call as NodeJS.EventEmitter).once("cancelled", cancelled);
  if (call.cancelled) cancelled();
  return { metadata: call.metadata, signal: controller.signal };
}

function accepted<T>(message: T): T {
  if (message instanceof RefusedMessage) throw message.error;
  return message;
}

async function* acceptedMessages<T>(call: ServerReadableStream<T, unknown>): AsyncGenerator<T> {
  // The stream object carries the answer too, so leaving the loop must not destroy it.
  const messages = call.iterator({ destroyOnReturn: false }) as AsyncIterable<T>;
  for await (const message of messages) yield accepted(message);
}

function createWriter<T>(call: ServerWritableStream<unknown, T>, signal: AbortSignal): (message: T) => Promise<void> {
  const inFlight: Promise<void>[] = [];
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
  aborted.catch(() => undefined);
  return async (message) => {
    signal.throwIfAborted();
    inFlight.push(new Promise((resolve) => call.write(message, () => resolve())));
    if (inFlight.length >= maxWritesInFlight) await Promise.race([inFlight.shift(), aborted]);
  };
}
