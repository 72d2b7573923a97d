import { expect, test } from "vitest";
import { checkEndpoint } from "./endpoint.js";

test.each(["127.0.0.1:7070", "127.9.9.9:1", "localhost:65535", "[::1]:7070"])("%s may be plaintext", (address) => {
  expect(checkEndpoint(address, false)).toBe(address);
});

test.each(["10.0.0.1:7070", "coordinator:7070", "[fe80::1]:7070", "localhost.example.org:80", "127.evil.org:80"])(
  "%s needs the caller to insist on plaintext",
  (address) => {
    expect(() => checkEndpoint(address, false)).toThrow(expect.objectContaining({ code: "insecure-refused" }));
    expect(checkEndpoint(address, true)).toBe(address);
  },
);

test.each([
  "",
  "localhost",
  "localhost:",
  "localhost:0",
  "localhost:65536",
  "http://localhost:80",
  "::1:80",
  "[nope]:80",
  "a b:1",
])("%j is no address", (address) => {
  expect(() => checkEndpoint(address, true)).toThrow(expect.objectContaining({ code: "config-invalid" }));
});
