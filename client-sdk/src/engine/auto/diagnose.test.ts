import { FedLoraError } from "@fedlora/core";
import { expect, test } from "vitest";
import { diagnose } from "./diagnose.js";
import { exclusionReason } from "./exclusion.js";
import type { MachineFacts } from "./exclusion.js";
import { formatDoctorReport } from "./format-report.js";
import { installedVersion } from "./installed-version.js";
import { probeEngine } from "./probe-engine.js";

const rates: Record<string, number> = {
  "onnxruntime-webgpu": 900,
  "onnxruntime-cpu": 220,
  "tfjs-node": 230,
  "tfjs-cpu": 1.25,
};

function report() {
  return diagnose({
    versionOf: (name) => (name === "onnxruntime-web" ? undefined : "1.2.3"),
    exclude: (engine) => (engine === "onnxruntime-webgpu" ? "no GPU device in /dev" : undefined),
    probe: ({ engine }) => {
      const gflops = rates[engine];
      if (gflops === undefined) throw new FedLoraError("engine-unavailable", `${engine} lacks its library`);
      return Promise.resolve({ version: "1.2.3", fingerprint: "f", gflops });
    },
  });
}

test("every engine is listed with its rate or its reason, and the choice with its own", async () => {
  const { engines, choice, machine } = await report();

  expect(
    engines.map(({ engine, isAvailable, isCandidate, reason }) => [engine, isAvailable, isCandidate, reason]),
  ).toEqual([
    ["onnxruntime-cuda", false, false, "onnxruntime-cuda lacks its library"],
    ["onnxruntime-webgpu", true, false, "no GPU device in /dev"],
    ["onnxruntime-cpu", true, true, ""],
    ["tfjs-node-gpu", false, false, "tfjs-node-gpu lacks its library"],
    ["onnxruntime-web", false, false, "onnxruntime-web is not installed"],
    ["tfjs-node", true, true, ""],
    ["tfjs-wasm", false, false, "tfjs-wasm lacks its library"],
    ["tfjs-cpu", true, true, ""],
  ]);
  // tfjs-node multiplies a little faster, but an eager step makes less of it.
  expect(choice).toEqual({
    engine: "onnxruntime-cpu",
    why: "220 GFLOP/s in a plain product; next is tfjs-node with 230 GFLOP/s",
  });
  expect(machine.cores).toBeGreaterThan(0);
});

test("the table shows each engine in one line and the choice last", async () => {
  const lines = formatDoctorReport(await report()).split("\n");
  expect(lines.find((line) => line.startsWith("onnxruntime-cpu"))).toMatch(
    /^onnxruntime-cpu {2,}onnxruntime-node 1\.2\.3 +yes +220$/,
  );
  expect(lines.find((line) => line.startsWith("tfjs-cpu"))).toMatch(/ 1\.3$/);
  expect(lines.find((line) => line.startsWith("onnxruntime-web "))).toMatch(/no .*is not installed$/);
  expect(lines.at(-1)).toMatch(/^auto takes onnxruntime-cpu: 220/);
});

test("where no engine runs the report says so", async () => {
  const nothing = await diagnose({ versionOf: () => undefined });
  expect(nothing.choice).toBeUndefined();
  expect(formatDoctorReport(nothing)).toContain("no engine runs here");
});

test("a probe measures the real engine in its own process", async () => {
  const { gflops, version, fingerprint } = await probeEngine({
    engine: "onnxruntime-cpu",
    threads: 1,
    m: 64,
    k: 64,
    n: 64,
  });
  expect(gflops).toBeGreaterThan(0);
  expect(version).toBe(`onnxruntime-node ${installedVersion("onnxruntime-node") ?? ""}`);
  expect(fingerprint).toContain("prepack=0");
});

const linux: MachineFacts = {
  platform: "linux",
  environment: {},
  devices: ["null", "renderD128"],
  hasCudaProvider: true,
};

test.each([
  ["a GPU on Linux", "onnxruntime-webgpu", {}, undefined],
  ["NVIDIA's own device", "onnxruntime-webgpu", { devices: ["nvidia0"] }, undefined],
  ["no GPU on Linux", "onnxruntime-webgpu", { devices: ["null", "card"] }, /no GPU/],
  [
    "a software driver despite a GPU",
    "onnxruntime-webgpu",
    { environment: { VK_ICD_FILENAMES: "/usr/share/vulkan/icd.d/vk_swiftshader_icd.json" } },
    /software/,
  ],
  ["another system", "onnxruntime-webgpu", { platform: "darwin", devices: [] }, undefined],
  ["CUDA installed", "onnxruntime-cuda", {}, undefined],
  ["CUDA not installed", "onnxruntime-cuda", { hasCudaProvider: false }, /CUDA libraries/],
  ["the CPU", "onnxruntime-cpu", { devices: [], hasCudaProvider: false }, undefined],
] as const)("auto and %s", (_name, engine, change, expected) => {
  const reason = exclusionReason(engine, { ...linux, ...change });
  if (expected === undefined) expect(reason).toBeUndefined();
  else expect(reason).toMatch(expected);
});

test("a package that is not there has no version", () => {
  expect(installedVersion("@fedlora/nothing")).toBeUndefined();
  expect(installedVersion("onnxruntime-web")).toMatch(/^\d+\.\d+\.\d+/);
});
