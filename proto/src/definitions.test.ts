import { loadSync } from "@grpc/proto-loader";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { adminService, coordinatorService, RefusedMessage } from "./definitions.js";
import { limits } from "./limits.js";

const folder = fileURLToPath(new URL("..", import.meta.url));

test("the descriptor holds the services of the .proto files", () => {
  const files = loadSync(["fedlora/v1/coordinator.proto", "fedlora/v1/admin.proto"], { includeDirs: [folder] });

  for (const [name, service] of [
    ["fedlora.v1.Coordinator", coordinatorService],
    ["fedlora.v1.Admin", adminService],
  ] as const) {
    const paths = Object.values(service).map(({ path }) => path);
    expect(paths).toEqual(Object.values(files[name] as unknown as typeof service).map(({ path }) => path));
  }
});

test("bytes that are no message become a refused message, not a throw", () => {
  const malformed = coordinatorService.Enrol.requestDeserialize(Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]));

  expect(malformed).toBeInstanceOf(RefusedMessage);
  expect((malformed as unknown as RefusedMessage).error.code).toBe("request-invalid");
});

test("control messages are held to a smaller limit than chunks", () => {
  const name = "x".repeat(limits.controlMessageBytes);
  const enrol = coordinatorService.Enrol.requestDeserialize(coordinatorService.Enrol.requestSerialize({ name }));
  const data = Buffer.alloc(limits.chunkBytes);
  const chunk = coordinatorService.PutChunk.requestDeserialize(coordinatorService.PutChunk.requestSerialize({ data }));

  expect(enrol).toBeInstanceOf(RefusedMessage);
  expect(chunk).not.toBeInstanceOf(RefusedMessage);
  expect(chunk.data.equals(data)).toBe(true);
});
