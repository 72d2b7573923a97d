import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { EngineName } from "../engine.js";
import { packageFolder } from "./installed-version.js";

/** What of the machine decides whether a GPU engine is worth a try; replaced in tests. */
export interface MachineFacts {
  readonly platform: NodeJS.Platform;
  readonly environment: NodeJS.ProcessEnv;
  /** Names in /dev and /dev/dri. */
  readonly devices: readonly string[];
  readonly hasCudaProvider: boolean;
}

/**
 * Why `auto` leaves an installed engine out, or undefined where it may be taken; an engine asked for by name is tried all
 * the same.
 *
 * - WebGPU on a software driver gives the same values, but slower than the plain CPU engine. On Linux a GPU shows as a
 *   render node, or as NVIDIA's or WSL's own device; elsewhere the system brings its driver.
 * - CUDA's libraries are a separate download of onnxruntime-node.
 */
export function exclusionReason(engine: EngineName, facts: MachineFacts = machineFacts()): string | undefined {
  if (engine === "onnxruntime-cuda") {
    return facts.hasCudaProvider ? undefined : "the CUDA libraries of onnxruntime-node are not installed";
  }
  if (engine !== "onnxruntime-webgpu" || facts.platform !== "linux") return undefined;
  const driver = facts.environment["VK_DRIVER_FILES"] ?? facts.environment["VK_ICD_FILENAMES"] ?? "";
  if (/swiftshader|lvp_icd|llvmpipe/i.test(driver)) return "the Vulkan driver computes in software";
  if (facts.devices.some((name) => /^(renderD\d+|nvidia\d+|dxg)$/.test(name))) return undefined;
  return "no GPU device in /dev";
}

function machineFacts(): MachineFacts {
  const list = (folder: string): readonly string[] => (existsSync(folder) ? readdirSync(folder) : []);
  const { platform, arch, env } = process;
  const runtime = packageFolder("onnxruntime-node");
  const binaries = runtime === undefined ? [] : list(join(runtime, "bin"));
  const hasCudaProvider = binaries.some((napi) =>
    list(join(runtime ?? "", "bin", napi, platform, arch)).some((name) => name.includes("onnxruntime_providers_cuda")),
  );
  return { platform, environment: env, devices: [...list("/dev"), ...list("/dev/dri")], hasCudaProvider };
}
