import { expect, test } from "vitest";
import { engineFingerprint, readInstructionSet } from "./fingerprint.js";

test("the flags by which kernels are chosen, in a fixed order", () => {
  const cpuinfo = "processor : 0\nflags\t\t: fpu avx512f sse4_1 avx2 avx\nbugs\t: none\nflags\t: fpu";
  expect(readInstructionSet(cpuinfo)).toBe("sse4_1,avx,avx2,avx512f");
  expect(readInstructionSet("Features\t: fp asimd asimddp\n")).toBe("asimd,asimddp");
  expect(readInstructionSet("")).not.toBe("");
});

test("version, instruction set and settings all change it", () => {
  const base = engineFingerprint("onnxruntime-cpu", { version: "a 1", settings: "prepack=0" }, "avx2");
  const others = [
    engineFingerprint("onnxruntime-web", { version: "a 1", settings: "prepack=0" }, "avx2"),
    engineFingerprint("onnxruntime-cpu", { version: "a 2", settings: "prepack=0" }, "avx2"),
    engineFingerprint("onnxruntime-cpu", { version: "a 1", settings: "prepack=1" }, "avx2"),
    engineFingerprint("onnxruntime-cpu", { version: "a 1", settings: "prepack=0" }, "avx512f"),
  ];
  expect(new Set([base, ...others]).size).toBe(5);
});
