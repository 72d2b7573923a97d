import { limits } from "@fedlora/proto";
import { connect, type ClientHttp2Session, type Settings } from "node:http2";

export interface WindowReport {
  /** What a client may send on one stream before it hears back, in bytes. */
  readonly streamBytes: number;
  /** The same for all streams of a connection together. */
  readonly connectionBytes: number;
  readonly isLargeEnough: boolean;
}

/**
 * Connects to a listening server as a client and reads both windows that it grants. A server that only advertises a large
 * stream window passes the first and fails the second, which is what binds then.
 */
export async function probeWindows(url: string, timeoutMs = 5000): Promise<WindowReport> {
  const session = connect(url);
  try {
    return await withTimeout(readWindows(session), timeoutMs);
  } finally {
    session.destroy();
  }
}

async function readWindows(session: ClientHttp2Session): Promise<WindowReport> {
  const streamBytes = await new Promise<number>((resolve, reject) => {
    session.once("error", reject);
    session.once("remoteSettings", (settings: Settings) => resolve(settings.initialWindowSize ?? 65_535));
  });
  // The server's WINDOW_UPDATE precedes its answer to a ping that was sent after its settings arrived.
  await new Promise<void>((resolve, reject) => {
    session.ping((error) => {
      if (error) reject(error);
      else resolve();
    });
  });
  const connectionBytes = session.state.remoteWindowSize ?? 0;
  const isLargeEnough = streamBytes >= limits.windowBytes && connectionBytes >= limits.windowBytes;
  return { streamBytes, connectionBytes, isLargeEnough };
}

async function withTimeout<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, expired]);
  } finally {
    clearTimeout(timer);
  }
}
