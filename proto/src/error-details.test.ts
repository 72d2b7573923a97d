import { errorTable, FedLoraError, type ErrorCode } from "@fedlora/core";
import { Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { errorFromStatus, errorToStatus, errorTrailer } from "./error-details.js";

const bare = (code: status, details: string): ServiceError =>
  Object.assign(new Error(`${status[code]}: ${details}`), { code, details, metadata: new Metadata() });

test("every code travels with its status, message, details and time to wait", () => {
  for (const code of Object.keys(errorTable) as ErrorCode[]) {
    const sent = new FedLoraError(code, "what happened", { details: { tensor: "a.b" }, retryAfterMs: 250 });

    const wire = errorToStatus(sent);
    const received = errorFromStatus(Object.assign(new Error("x"), wire));

    expect(wire.code).toBe(status[errorTable[code].status]);
    expect(received.code).toBe(code);
    expect(received.message).toBe("what happened");
    expect(received.details).toEqual({ tensor: "a.b" });
    expect(received.retryAfterMs).toBe(250);
  }
});

test("messages and details are bounded on the wire", () => {
  const details = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`key${index}`, "v".repeat(10_000)]));

  const wire = errorToStatus(new FedLoraError("internal", "m".repeat(100_000), { details }));

  const trailer = wire.metadata.get(errorTrailer)[0] as Buffer;
  expect(trailer.byteLength).toBeLessThan(8192);
  const received = errorFromStatus(Object.assign(new Error("x"), wire));
  expect(Object.keys(received.details)).toHaveLength(16);
  expect(received.message).toHaveLength(1024);
});

test("statuses without our trailer become the nearest code", () => {
  expect(errorFromStatus(bare(status.UNAVAILABLE, "ECONNREFUSED")).code).toBe("unavailable");
  expect(errorFromStatus(bare(status.DEADLINE_EXCEEDED, "")).code).toBe("deadline-exceeded");
  expect(errorFromStatus(bare(status.CANCELLED, "")).code).toBe("cancelled");
  expect(errorFromStatus(bare(status.UNIMPLEMENTED, "unknown method")).code).toBe("protocol-version");
  expect(errorFromStatus(bare(status.UNKNOWN, "?")).code).toBe("internal");
  expect(errorFromStatus(new Error("no service error")).code).toBe("internal");
});

test("an HTTP page read as a message length is explained", () => {
  const error = errorFromStatus(
    bare(status.RESOURCE_EXHAUSTED, "Received message larger than max (808722544 vs 278528)"),
  );

  expect(error.code).toBe("unavailable");
  expect(error.message).toContain("web server or proxy");
});

test("a message that is too large in earnest is not taken for a page", () => {
  const error = errorFromStatus(bare(status.RESOURCE_EXHAUSTED, "Received message larger than max (300000 vs 278528)"));

  expect(error.code).toBe("request-invalid");
  expect(error.message).not.toContain("web server");
});

test("a trailer that is garbage or of an unknown code falls back to the status", () => {
  const failure = bare(status.INVALID_ARGUMENT, "bad");
  failure.metadata.set(errorTrailer, Buffer.from([0xff, 0xff, 0xff]));

  expect(errorFromStatus(failure).code).toBe("request-invalid");
});

test("a message that is cut inside a character is still one that grpc-js can encode", () => {
  const wire = errorToStatus(new FedLoraError("internal", `${"m".repeat(1023)}\u{1f600}`));

  expect(() => encodeURI(wire.details)).not.toThrow();
});
