import { canonicalBytes, FedLoraError, toHex } from "@fedlora/core";
import type { TensorSpec } from "@fedlora/core";
import { syncFolder } from "@fedlora/core/node";
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ModelFamily } from "../../models/family.js";
import { builtInFamilies } from "../../models/load/family-registry.js";
import type { ArtifactManifest, ArtifactRef, ArtifactRequest, WeightPlaces } from "../artifact.js";
import { peakActivationBytes } from "./activation-bytes.js";
import { encodeOnnx, onnxOpset } from "./encode-onnx.js";
import { buildProgram } from "./program.js";
import type { Program } from "./program.js";
import { simplify } from "./simplify.js";
import { stepFlops } from "./step-flops.js";
import { trace } from "./trace.js";

/** Changes whenever the same request would give another graph; it is part of every artifact's key. */
export const compilerVersion = "1";

export interface CompileRequest {
  readonly request: ArtifactRequest;
  /** Header of the canonical weights file that the graph will read, see `readWeightPlaces`. */
  readonly weights: WeightPlaces;
  /** Artifacts lie in it in a folder each, named by their keys. */
  readonly outputFolder: string;
  /** Default: the built-in families. */
  readonly families?: readonly ModelFamily[];
}

/**
 * Compiles a training step, or finds it compiled: the folder appears whole or not at all, and several processes may do
 * this at once. The weights file is not part of it: the runtime puts it beside the graph.
 *
 * @throws FedLoraError `artifact-invalid` where the request contradicts the model or the weights file
 */
export async function compileArtifact(options: CompileRequest): Promise<ArtifactRef> {
  const { request, weights, outputFolder } = options;
  const key = artifactKey(request, weights);
  const folder = join(outputFolder, key);
  const cached = await readCached(folder, key);
  if (cached !== undefined) return { folder, manifest: cached };
  const { manifest, graph } = compileGraph(options);
  await mkdir(outputFolder, { recursive: true });
  const temporary = join(outputFolder, `.${key}.${randomUUID()}.tmp`);
  try {
    await mkdir(temporary);
    await writeDurably(join(temporary, manifest.graphFile), graph);
    await writeDurably(join(temporary, "artifact.json"), `${JSON.stringify(manifest, undefined, 1)}\n`);
    await publish(temporary, folder, key);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  await syncFolder(outputFolder);
  return { folder, manifest };
}

/** SHA-256 over everything that a graph depends on. */
export function artifactKey(request: ArtifactRequest, weights: WeightPlaces): string {
  const places = Object.fromEntries([...weights].map(([name, { offset, length }]) => [name, [offset, length]]));
  return sha256(canonicalBytes({ compilerVersion, request, places }));
}

/** The graph and its description, without touching the disk. */
export function compileGraph(options: Omit<CompileRequest, "outputFolder">): {
  readonly manifest: ArtifactManifest;
  readonly graph: Uint8Array;
} {
  const { request, weights, families = builtInFamilies } = options;
  const program = buildProgram(request, families);
  const traced = trace({
    inputs: new Map(
      program.inputs.map(({ name, dtype, shape }) => [name, { dtype: dtype === "F32" ? "float32" : "int32", shape }]),
    ),
    weightShape: (name) => checkedShape(program, weights, name),
    run: (input, weight) => program.run(input, weight),
  });
  const outputs = new Map(program.outputs.map(({ name }) => [name, traced.outputs.get(name) ?? ""]));
  const nodes = simplify(traced.graph, [...outputs.values()]);
  const graph = encodeOnnx({ graph: traced.graph, nodes, outputs, weights, compilerVersion });
  const read = new Set(nodes.flatMap((node) => node.inputs));
  return {
    graph,
    manifest: {
      format: "fedlora-artifact/1",
      key: artifactKey(request, weights),
      request,
      opset: onnxOpset,
      graphFile: request.purpose === "train" ? "step.onnx" : "evaluate.onnx",
      graphHash: sha256(graph),
      inputs: program.inputs,
      outputs: program.outputs,
      weights: [...traced.graph.weights]
        .filter((name) => read.has(name))
        .sort((a, b) => (a < b ? -1 : 1))
        .map((name): TensorSpec => ({ name, dtype: "F32", shape: program.weightShape(name) })),
      flops: stepFlops(request, program.description),
      activationBytes: peakActivationBytes(traced.graph, nodes, [...outputs.values()]),
      // Common subexpressions are what recomputation is made of.
      disabledOptimizers: request.memory === "recompute" ? ["CommonSubexpressionElimination"] : [],
    },
  };
}

function checkedShape(program: Program, weights: WeightPlaces, name: string): readonly number[] {
  const expected = program.weightShape(name);
  const place = weights.get(name);
  if (place === undefined) throw new FedLoraError("artifact-invalid", `the weights file has no tensor "${name}"`);
  if (place.shape.join() !== expected.join()) {
    throw new FedLoraError(
      "artifact-invalid",
      `the weights file holds "${name}" as [${place.shape.join(", ")}], the model's config says [${expected.join(", ")}]`,
    );
  }
  return expected;
}

/** A cached artifact counts when its graph is what its description says. */
async function readCached(folder: string, key: string): Promise<ArtifactManifest | undefined> {
  try {
    const manifest = JSON.parse(await readFile(join(folder, "artifact.json"), "utf8")) as ArtifactManifest;
    const graph = await readFile(join(folder, manifest.graphFile));
    return manifest.key === key && manifest.graphHash === sha256(graph) ? manifest : undefined;
  } catch {
    return undefined;
  }
}

/** Gives the finished folder its name, unless another process was first with the same content. */
async function publish(temporary: string, folder: string, key: string): Promise<void> {
  try {
    await rename(temporary, folder);
  } catch (error) {
    if ((await readCached(folder, key)) !== undefined) {
      await rm(temporary, { recursive: true, force: true });
      return;
    }
    // What is there is damaged: replace it.
    await rm(folder, { recursive: true, force: true });
    await rename(temporary, folder).catch(() => {
      throw error;
    });
  }
}

async function writeDurably(path: string, content: Uint8Array | string): Promise<void> {
  const file = await open(path, "wx");
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

function sha256(bytes: Uint8Array): string {
  return toHex(createHash("sha256").update(bytes).digest());
}
