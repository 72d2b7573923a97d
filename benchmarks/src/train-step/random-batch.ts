import { elementCount, fromFloat32 } from "@fedlora/core";
import type { ArtifactManifest, HostTensor, SlotSpec } from "@fedlora/client-sdk/engine";
import { linearCongruential } from "./prepare.js";

/** A slot with every adapter tensor that the graph reads. */
export function randomSlot(manifest: ArtifactManifest): SlotSpec {
  const next = linearCongruential(2);
  const tensors = manifest.inputs.flatMap(({ role, tensor, shape }) => {
    if (role !== "adapter" || tensor === undefined) return [];
    const own = manifest.request.privacy === "per-example" ? shape.slice(1) : shape;
    const values = Float32Array.from({ length: elementCount(own) }, () => 0.02 * (next() - 0.5));
    return [[tensor, fromFloat32(values, own)] as const];
  });
  const scalings = manifest.inputs.flatMap(({ role, tensor }) => (role === "scaling" && tensor ? [[tensor, 2]] : []));
  return {
    tensors: new Map(tensors),
    trained: manifest.outputs.flatMap(({ role, tensor }) => (role === "gradient" && tensor ? [tensor] : [])),
    scalings: Object.fromEntries(scalings) as Record<string, number>,
    optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
  };
}

/** A full batch: no padding, every position counts. */
export function randomBatch(manifest: ArtifactManifest): Record<string, HostTensor> {
  const next = linearCongruential(3);
  const { config, task } = manifest.request;
  const vocabulary = Number(config["vocab_size"]);
  const labels = task.kind === "sequence-classification" ? task.labels.length : vocabulary;
  const inputs: Record<string, HostTensor> = {};
  for (const { name, role, dtype, shape } of manifest.inputs) {
    const count = elementCount(shape);
    const integers = (limit: number): Int32Array =>
      Int32Array.from({ length: count }, () => Math.floor(next() * limit));
    if (role === "tokens") inputs[name] = { dtype, shape, data: integers(vocabulary) };
    if (role === "labels") inputs[name] = { dtype, shape, data: integers(labels) };
    if (role === "attention-mask") inputs[name] = { dtype, shape, data: new Int32Array(count).fill(1) };
    if (role === "loss-weights") inputs[name] = { dtype, shape, data: new Float32Array(count).fill(1 / count) };
  }
  return inputs;
}
