import { FedLoraError } from "@fedlora/core";
import type { TensorSpec } from "@fedlora/core";
import type { ArtifactManifest, ArtifactRef, ArtifactRequest, WeightPlaces } from "../artifact.js";
import { peakActivationBytes } from "./activation-bytes.js";
import { artifactKey, compilerVersion, findArtifact, saveArtifact, sha256 } from "./artifact-cache.js";
import { isDifferentiated } from "./declare-inputs.js";
import { encodeOnnx, onnxOpset } from "./encode-onnx.js";
import { buildProgram } from "./program.js";
import type { Program } from "./program.js";
import { simplify } from "./simplify.js";
import { stepFlops } from "./step-flops.js";
import { trace } from "./trace.js";

export interface CompileRequest {
  readonly request: ArtifactRequest;
  /** Header of the canonical weights file that the graph will read, see `readWeightPlaces`. */
  readonly weights: WeightPlaces;
  /** Artifacts lie in it in a folder each, named by their keys. */
  readonly outputFolder: string;
}

/**
 * Compiles a training step, or finds it compiled. It loads TensorFlow.js and does not yield while it traces:
 * applications call `compileInThread`. The weights file is not part of the artifact: the runtime puts it beside the graph.
 *
 * @throws FedLoraError `artifact-invalid` where the request contradicts the model or the weights file
 */
export async function compileArtifact({ request, weights, outputFolder }: CompileRequest): Promise<ArtifactRef> {
  const cached = await findArtifact(outputFolder, artifactKey(request, weights));
  if (cached !== undefined) return cached;
  const { manifest, graph } = compileGraph({ request, weights });
  return saveArtifact(outputFolder, manifest, graph);
}

/** The graph and its description, without touching the disk. */
export function compileGraph({ request, weights }: Omit<CompileRequest, "outputFolder">): {
  readonly manifest: ArtifactManifest;
  readonly graph: Uint8Array;
} {
  const program = buildProgram(request);
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
      graphFile: isDifferentiated(request) ? "step.onnx" : "evaluate.onnx",
      graphHash: sha256(graph),
      inputs: program.inputs,
      outputs: program.outputs,
      weights: [...traced.graph.weights]
        // An eager engine runs the whole forward pass, also what lies behind the last module that a sketch looks at.
        .filter((name) => read.has(name) || request.purpose === "activation-sketch")
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
