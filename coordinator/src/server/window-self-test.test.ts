import { Server, ServerCredentials } from "@grpc/grpc-js";
import { limits } from "@fedlora/proto";
import { connect } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { createHttp2Server } from "./http2-server.js";
import { probeWindows } from "./window-self-test.js";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.forceShutdown();
});

async function listen(server: Server): Promise<string> {
  servers.push(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  return `http://127.0.0.1:${port}`;
}

/** Sends into a call that nobody reads and counts what the server's windows let through. */
async function bytesTaken(url: string): Promise<number> {
  const session = connect(url);
  session.on("error", () => undefined);
  await new Promise((resolve) => session.once("remoteSettings", resolve));
  await new Promise((resolve) => session.ping(resolve));
  const stream = session.request({ ":method": "POST", ":path": "/test.Sink/Take", "content-type": "application/grpc" });
  stream.on("error", () => undefined);
  const piece = Buffer.alloc(64 * 1024);
  let taken = 0;
  const send = (): void => {
    stream.write(piece, (error) => {
      if (error) return;
      taken += piece.byteLength;
      send();
    });
  };
  send();
  await delay(500);
  session.destroy();
  return taken;
}

test("our server grants the protocol's window to streams and connections", async () => {
  const url = await listen(createHttp2Server({}, 10));

  const report = await probeWindows(url);

  expect(report).toEqual({
    streamBytes: limits.windowBytes,
    connectionBytes: limits.windowBytes,
    isLargeEnough: true,
  });
});

test("a stock server does not pass, nor one that only advertises a large stream window", async () => {
  const stock = await listen(new Server());
  const advertised = new Server();
  (advertised as unknown as { commonServerOptions: object }).commonServerOptions = {
    settings: { initialWindowSize: limits.windowBytes },
  };
  const half = await listen(advertised);

  expect((await probeWindows(stock)).isLargeEnough).toBe(false);
  expect(await probeWindows(half)).toEqual({
    streamBytes: limits.windowBytes,
    connectionBytes: 65_535,
    isLargeEnough: false,
  });
});

test("a call that nobody reads takes as much as the window says, and no more", async () => {
  const server = createHttp2Server({}, 10);
  const sink = {
    path: "/test.Sink/Take",
    requestStream: true as const,
    responseStream: false as const,
    requestSerialize: (value: Buffer) => value,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (value: Buffer) => value,
    responseDeserialize: (bytes: Buffer) => bytes,
  };
  // Never asks for a message: the frames of zeros below are empty messages, one is enough to stop the reading.
  server.addService({ Take: sink }, { Take: () => undefined });
  const taken = await bytesTaken(await listen(server));

  expect(taken).toBeGreaterThan(limits.windowBytes - 256 * 1024);
  expect(taken).toBeLessThan(limits.windowBytes + 1024 * 1024);
});
