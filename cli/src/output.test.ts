import { expect, test } from "vitest";
import { formatBytes, formatSeconds } from "./output.js";

test("bytes change their unit before the number grows to four digits", () => {
  expect([0, 999, 1000, 45_400_000, 999_600, 123_000_000].map(formatBytes)).toEqual([
    "0 B",
    "999 B",
    "1.0 kB",
    "45.4 MB",
    "1.0 MB",
    "123 MB",
  ]);
});

test("long times are told in minutes", () => {
  expect([1234, 61_000].map(formatSeconds)).toEqual(["1.2 s", "1 min 1 s"]);
});
