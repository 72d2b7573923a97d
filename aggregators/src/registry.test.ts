import { expect, test } from "vitest";
import { builtinMethods } from "./builtin.js";
import { fedavg } from "./method/fedavg.js";
import { createMethodRegistry, findMethod } from "./registry.js";

test("a method is found by its name", () => {
  expect(findMethod(builtinMethods, "fedavg")).toBe(fedavg);
});

test("an unknown name is refused with the nearest one", () => {
  expect(() => findMethod(builtinMethods, "fedavvg")).toThrow(
    expect.objectContaining({ code: "method-unknown", message: expect.stringContaining('did you mean "fedavg"?') }),
  );
  expect(() => findMethod(builtinMethods, "zzzzzzzzz")).toThrow(
    expect.objectContaining({ code: "method-unknown", message: expect.stringMatching(/Methods are .*fedavg/) }),
  );
  expect(() => findMethod(builtinMethods, "toString")).toThrow(expect.objectContaining({ code: "method-unknown" }));
});

test.each([
  ["a taken name", [fedavg, fedavg], "used twice"],
  ["capitals", [{ ...fedavg, name: "FedAvg" }], "kebab-case"],
  ["an empty name", [{ ...fedavg, name: "" }], "kebab-case"],
  ["a trailing hyphen", [{ ...fedavg, name: "fed-" }], "kebab-case"],
  ["version 0", [{ ...fedavg, version: 0 }], "version 0"],
  ["a fractional version", [{ ...fedavg, version: 1.5 }], "version 1.5"],
])("%s is refused", (_, definitions, message) => {
  expect(() => createMethodRegistry(definitions as never)).toThrow(
    expect.objectContaining({ code: "config-invalid", message: expect.stringContaining(message) }),
  );
});
