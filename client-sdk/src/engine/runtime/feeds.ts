import { FedLoraError, elementCount, shapesEqual } from "@fedlora/core";
import type { ArtifactInput, ArtifactManifest } from "../artifact.js";
import type { HostTensor, StepRequest } from "../engine.js";
import type { Slot } from "./slot.js";

/**
 * Everything a graph reads: adapters, scalings and base deltas from the slot, the rest from the request.
 *
 * Throws `request-invalid` for an input that is missing, unknown, or of another dtype or shape, `adapter-invalid` where the
 * slot does not fit the graph.
 */
export function assembleFeeds(
  manifest: ArtifactManifest,
  slot: Slot,
  inputs: StepRequest["inputs"],
): ReadonlyMap<string, HostTensor> {
  const feeds = new Map<string, HostTensor>();
  let used = 0;
  for (const input of manifest.inputs) {
    if (input.role === "adapter") feeds.set(input.name, slot.feed(input.tensor ?? input.name, input.shape));
    else if (input.role === "scaling") feeds.set(input.name, slot.scaling(input.tensor ?? input.name));
    else if (input.role === "base-delta") {
      feeds.set(input.name, slot.baseDelta(input.tensor ?? input.name, input.shape));
    } else {
      feeds.set(input.name, given(input, inputs[input.name]));
      used += 1;
    }
  }
  if (used !== Object.keys(inputs).length) {
    const unknown = Object.keys(inputs).filter((name) => !feeds.has(name));
    throw new FedLoraError(
      "request-invalid",
      `the graph has no input ${unknown.map((name) => `"${name}"`).join(", ")}`,
    );
  }
  return feeds;
}

function given(input: ArtifactInput, value: HostTensor | undefined): HostTensor {
  const wanted = `${input.dtype} [${input.shape.join(", ")}]`;
  if (value === undefined) throw new FedLoraError("request-invalid", `input "${input.name}" (${wanted}) is missing`);
  if (
    value.dtype !== input.dtype ||
    !shapesEqual(value.shape, input.shape) ||
    value.data.length !== elementCount(input.shape)
  ) {
    throw new FedLoraError(
      "request-invalid",
      `input "${input.name}" is ${value.dtype} [${value.shape.join(", ")}] with ${value.data.length} values, expected ${wanted}`,
    );
  }
  return value;
}
