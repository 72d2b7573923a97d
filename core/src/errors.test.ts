import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { FedLoraError, errorTable, isErrorCode } from "./errors.js";

describe("docs/errors.md", () => {
  const page = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
  const sections = page.split(/^## /m).slice(1);
  const documented = new Map(
    sections.map((section) => [section.slice(0, section.indexOf("\n")), section.slice(section.indexOf("\n") + 1)]),
  );

  test("has every code of the table in its order, and no other", () => {
    expect([...documented.keys()]).toEqual(Object.keys(errorTable));
    expect(sections).toHaveLength(documented.size);
  });

  test.each(Object.entries(errorTable))(
    "tells status, cause and remedy of %s",
    (code, { status, retryable, remedy }) => {
      const lines = (documented.get(code) ?? "").trim().split("\n");

      expect(lines[0]).toBe(`- Status: ${status}${retryable ? ", retryable" : ""}`);
      expect(lines[1]).toMatch(/^- Cause: [A-Z`].{10,}\.$/);
      expect(lines[2]).toBe(`- Remedy: ${remedy}`);
      expect(lines).toHaveLength(3);
    },
  );
});

describe("an error", () => {
  test("carries its code's status, retryability and remedy, its details and its cause", () => {
    const cause = new Error("reset");
    const error = new FedLoraError("upload-busy", "8 of 8", { details: { limit: "8" }, retryAfterMs: 250, cause });

    expect(error).toMatchObject({
      name: "FedLoraError",
      message: "8 of 8",
      status: "RESOURCE_EXHAUSTED",
      retryable: true,
      remedy: errorTable["upload-busy"].remedy,
      details: { limit: "8" },
      retryAfterMs: 250,
      cause,
    });
    expect(new FedLoraError("internal", "x")).not.toHaveProperty("cause");
  });

  test("is made of anything thrown", () => {
    const own = new FedLoraError("cancelled", "stop");
    const foreign = new TypeError("oops");

    expect(FedLoraError.from(own)).toBe(own);
    expect(FedLoraError.from(foreign)).toMatchObject({ code: "internal", message: "oops", cause: foreign });
    expect(FedLoraError.from("text")).toMatchObject({ code: "internal", message: "text", cause: "text" });
  });

  test("has no code that an object happens to have", () => {
    expect(["internal", "toString", "__proto__", ""].map(isErrorCode)).toEqual([true, false, false, false]);
  });
});
