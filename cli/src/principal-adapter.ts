import { principalFactors } from "@fedlora/aggregators";
import type { BaseModel } from "@fedlora/client-sdk";
import {
  adapterKeys,
  deriveKey,
  FedLoraError,
  initialAdapter,
  randomKey,
  RandomStream,
  resolveAdapter,
  toFloat32,
  toStateDict,
} from "@fedlora/core";
import type { RunSpec, StateDict, Tensor } from "@fedlora/core";
import { SafetensorsFile } from "@fedlora/core/node";

export interface PrincipalAdapter {
  readonly tensors: StateDict;
  /** By module: the share of the weight's squared norm that its factors leave out. */
  readonly leftOut: ReadonlyMap<string, number>;
}

/**
 * PiSSA's adapter of a run: principal factors of every adapted module's weight, heads as the run's seed makes them.
 *
 * @param spec compiled against the model, so that no rank exceeds a module's smaller side
 * @param onModule told before each module, which may take seconds
 * @throws FedLoraError `spec-invalid` for a run of another variant
 */
export async function principalAdapter(
  baseModel: BaseModel,
  spec: RunSpec,
  onModule: (name: string, index: number, count: number) => void,
): Promise<PrincipalAdapter> {
  if (spec.adapter.variant !== "lora") {
    throw new FedLoraError("spec-invalid", `PiSSA starts a plain adapter; adapter.variant is ${spec.adapter.variant}`);
  }
  const resolved = resolveAdapter(spec.adapter, baseModel.manifest, spec.task);
  const file = new SafetensorsFile(await baseModel.weightsFile());
  const factors: (readonly [string, Tensor])[] = [];
  const leftOut = new Map<string, number>();
  try {
    for (const [index, { name, rank, dIn, dOut, scaling }] of resolved.modules.entries()) {
      onModule(name, index, resolved.modules.length);
      const stream = new RandomStream(deriveKey(randomKey(spec.training.seed), "principal-factors", name));
      const weight = { values: toFloat32(file.read(`${name}.weight`)), dOut, dIn };
      const found = principalFactors(weight, { rank, scaling, stream });
      const keys = adapterKeys(name);
      factors.push([keys.a, found.a], [keys.b, found.b]);
      leftOut.set(name, found.leftOut);
    }
  } finally {
    file.close();
  }
  return { tensors: toStateDict([...initialAdapter(resolved, spec.training.seed), ...factors]), leftOut };
}
