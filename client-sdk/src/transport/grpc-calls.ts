import { FedLoraError, systemClock } from "@fedlora/core";
import { errorFromStatus } from "@fedlora/proto";
import type {
  CallOptions,
  ClientReadableStream,
  ClientUnaryCall,
  ClientWritableStream,
  requestCallback,
} from "@grpc/grpc-js";

/** Longest life of one stream; a longer transfer goes on in the next one, from its offset. */
const streamLifeMs = 3_600_000;

interface Cancellable {
  cancel(): void;
}

/** One request, one answer. Rejects with a FedLoraError, or with the signal's reason. */
export function callUnary<Wire, Answer>(
  start: (options: CallOptions, done: requestCallback<Wire>) => ClientUnaryCall,
  convert: (wire: Wire) => Answer,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const call = start({ deadline: deadlineIn(timeoutMs) }, (error, wire) => {
      unlink();
      try {
        if (error !== null) reject(failure(error, signal));
        else if (wire === undefined) reject(new FedLoraError("internal", "the coordinator answered without a message"));
        else resolve(convert(wire));
      } catch (refused) {
        reject(FedLoraError.from(refused));
      }
    });
    const unlink = cancelOnAbort(call, signal);
  });
}

/** The messages of a server's stream, read no faster than they are taken. */
export async function* readStream<Wire, Message>(
  start: (options: CallOptions) => ClientReadableStream<Wire>,
  convert: (wire: Wire) => Message,
  idleMs: number,
  signal: AbortSignal,
): AsyncGenerator<Message, void, undefined> {
  signal.throwIfAborted();
  const call = start({ deadline: deadlineIn(streamLifeMs) });
  // The cancellation below reports itself as an error that nobody waits for any more.
  call.on("error", () => undefined);
  const unlink = cancelOnAbort(call, signal);
  const watch = new IdleWatch(call, idleMs);
  const messages = call[Symbol.asyncIterator]() as AsyncIterator<Wire, void>;
  try {
    for (;;) {
      const next = await watch.while(messages.next()).catch((error: unknown) => {
        throw failure(watch.error ?? error, signal);
      });
      if (next.done === true) return;
      yield convert(next.value);
    }
  } finally {
    unlink();
    call.cancel();
  }
}

/**
 * A client's stream and its one answer. Waits for `drain` when the transport's buffer is full, so memory does not grow
 * with the source; an answer that comes early ends it. An error of the source cancels the call and is thrown as it is.
 */
export async function writeStream<Item, Wire, WireAnswer, Answer>(
  start: (options: CallOptions, done: requestCallback<WireAnswer>) => ClientWritableStream<Wire>,
  source: AsyncIterable<Item>,
  convert: (item: Item) => Wire,
  convertAnswer: (wire: WireAnswer) => Answer,
  idleMs: number,
  signal: AbortSignal,
): Promise<Answer> {
  signal.throwIfAborted();
  const progress = { answered: false };
  let call!: ClientWritableStream<Wire>;
  const answer = new Promise<WireAnswer>((resolve, reject) => {
    call = start({ deadline: deadlineIn(streamLifeMs) }, (error, wire) => {
      progress.answered = true;
      if (error !== null) reject(error);
      else if (wire === undefined) reject(new FedLoraError("internal", "the coordinator answered without a message"));
      else resolve(wire);
    });
  });
  const settled = answer.then(
    () => undefined,
    () => undefined,
  );
  call.on("error", () => undefined); // the callback above reports it
  const unlink = cancelOnAbort(call, signal);
  const watch = new IdleWatch(call, idleMs);
  try {
    for await (const item of source) {
      if (progress.answered) break;
      if (!call.write(convert(item))) await watch.while(Promise.race([drained(call), settled]));
    }
    call.end();
    const wire = await watch.while(answer).catch((error: unknown) => {
      throw failure(watch.error ?? error, signal);
    });
    return convertAnswer(wire);
  } finally {
    unlink();
    call.cancel();
  }
}

const drained = (call: { once(event: "drain", listener: () => void): unknown }): Promise<void> =>
  new Promise((resolve) => call.once("drain", resolve));

/** Cancels a stream on which nothing moves while we wait for it. */
class IdleWatch {
  readonly #call: Cancellable;
  readonly #idleMs: number;
  error: FedLoraError | undefined;

  constructor(call: Cancellable, idleMs: number) {
    this.#call = call;
    this.#idleMs = idleMs;
  }

  async while<T>(waiting: Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      this.error = new FedLoraError("deadline-exceeded", `nothing moved on the stream for ${this.#idleMs} ms`);
      this.#call.cancel();
    }, this.#idleMs);
    try {
      return await waiting;
    } finally {
      clearTimeout(timer);
    }
  }
}

function cancelOnAbort(call: Cancellable, signal: AbortSignal): () => void {
  const onAbort = (): void => call.cancel();
  signal.addEventListener("abort", onAbort, { once: true });
  return () => signal.removeEventListener("abort", onAbort);
}

function failure(error: unknown, signal: AbortSignal): Error {
  if (signal.aborted) return signal.reason as Error;
  const coded = errorFromStatus(error);
  // We did not cancel it: the connection or the other side went away in the middle.
  return coded.code === "cancelled" ? new FedLoraError("unavailable", coded.message, { cause: error }) : coded;
}

/** gRPC takes a deadline as a point in time, and sends what is left of it. */
const deadlineIn = (ms: number): number => systemClock.now() + ms;
