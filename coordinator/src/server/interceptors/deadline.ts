import { FedLoraError } from "@fedlora/core";
import { errorToStatus } from "@fedlora/proto";
import { ResponderBuilder, ServerInterceptingCall, ServerListenerBuilder, type ServerInterceptor } from "@grpc/grpc-js";

/** How long a call may take, whether or not the client named a deadline. */
export interface CallTimes {
  /** From the call's headers to its status. */
  readonly maxMs: number;
  /** Between two messages of the client, until it has sent its last. */
  readonly receiveIdleMs: number;
  /** Between two messages to the client; undefined where silence is normal. */
  readonly sendIdleMs?: number;
}

/**
 * Ends calls that take too long with `deadline-exceeded`. Without it a client that stops in the middle of a message holds a
 * stream, its buffers and its slot for ever: gRPC knows only the deadlines that clients send.
 */
export function createDeadlineInterceptor(timesOf: (path: string) => CallTimes): ServerInterceptor {
  return (method, nextCall) => {
    const times = timesOf(method.path);
    let idle: NodeJS.Timeout | undefined;
    const expire = (what: string): void => {
      stop();
      nextCall.sendStatus(errorToStatus(new FedLoraError("deadline-exceeded", `${method.path}: ${what}`)));
    };
    const total = setTimeout(() => expire(`not finished within ${times.maxMs} ms`), times.maxMs);
    const stop = (): void => {
      clearTimeout(total);
      clearTimeout(idle);
    };
    const restart = (ms: number | undefined, what: string): void => {
      clearTimeout(idle);
      if (ms !== undefined) idle = setTimeout(() => expire(`${what} within ${ms} ms`), ms);
    };
    const awaitMessage = (): void => restart(times.receiveIdleMs, "the client sent nothing");
    const awaitProgress = (): void => restart(times.sendIdleMs, "the client took nothing");
    const listener = new ServerListenerBuilder()
      .withOnReceiveMessage((message, next) => {
        awaitMessage();
        next(message);
      })
      .withOnReceiveHalfClose((next) => {
        awaitProgress();
        next();
      })
      .withOnCancel(stop)
      .build();
    const responder = new ResponderBuilder()
      .withStart((next) => {
        awaitMessage();
        next(listener);
      })
      .withSendMessage((message, next) => {
        awaitProgress();
        next(message);
      })
      .withSendStatus((status, next) => {
        stop();
        next(status);
      })
      .build();
    return new ServerInterceptingCall(nextCall, responder);
  };
}
