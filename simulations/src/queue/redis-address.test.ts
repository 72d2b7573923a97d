import { describe, expect, test } from "vitest";
import { assertMayListen, parseListenAddress, parseRedisAddress } from "./redis-address.js";

const code = (wanted: string): unknown => expect.objectContaining({ code: wanted });

describe("the address of a Redis", () => {
  test.each([
    ["redis://127.0.0.1", "redis://127.0.0.1:6379"],
    ["redis://:secret@localhost:7000/3", "redis://localhost:7000"],
    ["redis://[::1]:7000", "redis://[::1]:7000"],
    ["rediss://redis.example:7000", "rediss://redis.example:7000"],
    ["/run/redis.sock", "/run/redis.sock"],
  ])("%s is shown as %s, without a password", (text, shown) => {
    expect(parseRedisAddress(text, false)).toEqual({ target: text, shown });
  });

  test("without TLS it is on loopback, or allowed", () => {
    expect(() => parseRedisAddress("redis://10.0.0.5", false)).toThrow(code("insecure-refused"));
    expect(parseRedisAddress("redis://10.0.0.5", true).shown).toBe("redis://10.0.0.5:6379");
  });

  test("anything else is refused, without its password", () => {
    for (const text of ["http://:secret@host", "localhost:6379", "redis://", ""]) {
      expect(() => parseRedisAddress(text, true)).toThrow(code("config-invalid"));
    }
    expect(() => parseRedisAddress("http://:secret@host", true)).not.toThrow(/secret/);
  });
});

test("tensors are offered on loopback, or where that is allowed", () => {
  expect(parseListenAddress("[::1]:80", false)).toEqual({ host: "::1", port: 80 });
  expect(() => parseListenAddress("0.0.0.0:80", false)).toThrow(code("insecure-refused"));
  expect(() => parseListenAddress("80", true)).toThrow(code("config-invalid"));
  expect(() => assertMayListen("::ffff:127.0.0.1", false)).not.toThrow();
});
