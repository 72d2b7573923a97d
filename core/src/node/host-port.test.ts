import { expect, test } from "vitest";
import { readHostPort } from "./host-port.js";

test.each([
  ["localhost:8089", { host: "localhost", port: 8089 }],
  ["10.0.0.1:0", { host: "10.0.0.1", port: 0 }],
  ["coordinator_1.example:65535", { host: "coordinator_1.example", port: 65_535 }],
  ["[::1]:443", { host: "::1", port: 443 }],
  ["[::ffff:10.0.0.1]:443", { host: "::ffff:10.0.0.1", port: 443 }],
])("%s", (text, expected) => {
  expect(readHostPort(text)).toEqual(expected);
});

test.each([
  "",
  "localhost",
  "localhost:",
  ":80",
  "::1:80",
  "[10.0.0.1]:80",
  "[:]:80",
  "host:65536",
  "host:-1",
  "a b:1",
])("%j is none", (text) => {
  expect(readHostPort(text)).toBeUndefined();
});
