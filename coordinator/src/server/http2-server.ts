import { Server, type ServerCredentials, type ServerOptions } from "@grpc/grpc-js";
import { limits } from "@fedlora/proto";
import {
  constants,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from "node:http2";

/** How long a client has to end its side of a call that was answered, before the stream is reset. */
const lingerMs = 1000;

/**
 * The two private members of grpc-js 1.14.7 (pinned for this reason) that are touched here. Its server has no option for
 * the flow-control window and stays at HTTP/2's 64 KiB, which is 2 MB/s at a round trip of 20 ms.
 */
interface ServerInternals {
  commonServerOptions: { settings?: Settings };
  createHttp2Server(credentials: ServerCredentials): Http2Server;
}

/**
 * A grpc-js server whose streams and connections have the protocol's window, that accepts at most `maxConnections` and
 * resets streams that a client leaves open after the answer.
 */
export function createHttp2Server(options: ServerOptions, maxConnections: number): Server {
  const server = new Server(options);
  const internals = server as unknown as ServerInternals;
  internals.commonServerOptions.settings = {
    ...internals.commonServerOptions.settings,
    initialWindowSize: limits.windowBytes,
  };
  const create = internals.createHttp2Server.bind(server);
  internals.createHttp2Server = (credentials) => {
    const http2Server = create(credentials);
    http2Server.maxConnections = maxConnections;
    http2Server.on("session", (session: ServerHttp2Session) => session.setLocalWindowSize(limits.windowBytes));
    http2Server.on("stream", closeAfterAnswer);
    return http2Server;
  };
  return server;
}

function closeAfterAnswer(stream: ServerHttp2Stream): void {
  stream.once("finish", () => {
    if (stream.closed) return;
    const timer = setTimeout(() => {
      if (!stream.closed) stream.close(constants.NGHTTP2_NO_ERROR);
    }, lingerMs);
    stream.once("close", () => clearTimeout(timer));
  });
}
