import { limits } from "@fedlora/proto";
import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
} from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import type { CallTimes } from "./interceptors/deadline.js";
import { serve, TestClient, type Served } from "./testing/harness.js";

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function start(timesOf?: () => CallTimes): Promise<{ served: Served; session: ClientHttp2Session }> {
  const served = await serve(timesOf === undefined ? {} : { timesOf });
  open.push(() => served.transport.stop(100));
  const session = connect(`http://${served.address}`);
  session.on("error", () => undefined);
  open.push(() => session.destroy());
  await new Promise((resolve) => session.once("remoteSettings", resolve));
  return { served, session };
}

function callMethod(session: ClientHttp2Session, method: string): ClientHttp2Stream {
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: "POST",
    [constants.HTTP2_HEADER_PATH]: `/fedlora.v1.Coordinator/${method}`,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => undefined);
  stream.resume();
  return stream;
}

/** The gRPC frame that announces `length` bytes and brings `payload`. */
function frame(length: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, payload]);
}

const statusOf = (stream: ClientHttp2Stream): Promise<string> =>
  new Promise((resolve) => {
    const read = (headers: IncomingHttpHeaders): void => {
      const status = headers["grpc-status"];
      if (typeof status === "string") resolve(status);
    };
    stream.on("response", read);
    stream.on("trailers", read);
  });

test("200 streams one byte short of a message take little memory and do not keep others out", async () => {
  const { served, session } = await start();
  const before = process.memoryUsage().rss;
  const almost = frame(limits.dataMessageBytes, Buffer.alloc(limits.dataMessageBytes - 1));

  for (let index = 0; index < 200; index += 1) callMethod(session, "PutChunk").write(almost);
  await delay(1500);

  // Stock settings let this grow by 800 MB; eight streams and half of this process's own copies are far below.
  expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
  const client = await TestClient.enrolled(served.address);
  open.push(() => client.close());
  expect(client.clientId).not.toBe("");
});

test("a message that announces more than the limit is refused before it arrives", async () => {
  const { session } = await start();
  const stream = callMethod(session, "PutChunk");
  const status = statusOf(stream);

  stream.write(frame(1_000_000_000, Buffer.alloc(10)));

  expect(await status).toBe("8");
});

test("bytes that are no protobuf get a coded error, whatever the method", async () => {
  const { session } = await start();
  for (const method of ["Enrol", "Poll", "GetBlob", "BeginUpload", "PutChunk", "PutChunks", "Commit", "Report"]) {
    const stream = callMethod(session, method);
    const status = statusOf(stream);
    stream.end(frame(6, Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])));
    // INVALID_ARGUMENT for the message, or UNAUTHENTICATED where the session is looked at first.
    expect(["3", "16"]).toContain(await status);
  }
});

test("a client that sends half a message and then nothing is cut off, and its stream freed", async () => {
  const times = { maxMs: 10_000, receiveIdleMs: 100 };
  const { session } = await start(() => times);
  const stream = callMethod(session, "PutChunk");
  const closed = new Promise((resolve) => stream.once("close", resolve));
  const status = statusOf(stream);

  stream.write(frame(1000, Buffer.alloc(10)));

  expect(await status).toBe("4");
  await closed;
  expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
});

test("a client that trickles whole messages for ever meets the absolute deadline", async () => {
  const { session } = await start(() => ({ maxMs: 300, receiveIdleMs: 10_000 }));
  const stream = callMethod(session, "Poll");

  const status = statusOf(stream);
  stream.write(Buffer.alloc(1));

  expect(await status).toBe("4");
});
