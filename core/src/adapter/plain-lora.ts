import { FedLoraError } from "../errors.js";
import { toStateDict } from "../tensor/state-dict.js";
import type { StateDict, Tensor } from "../tensor/tensor.js";
import { fromFloat32, toFloat32 } from "../tensor/values.js";
import { adapterKeys } from "./lora-config.js";
import { moduleOfTensor, tensorKindOf } from "./tensor-kind.js";

/**
 * An adapter of any variant as plain LoRA pairs, which every runtime for LoRA can serve: of a latent adapter B R and A, of
 * VeRA diag(vera_lambda_b) B diag(vera_lambda_d) and A; heads and plain pairs stay as they are. Products are taken in
 * float64 and rounded once. The scaling stays outside: it is the same for both forms.
 *
 * @throws FedLoraError `adapter-invalid` where a module lacks a tensor
 */
export function plainLora(adapter: StateDict): StateDict {
  const take = (name: string): Tensor => {
    const tensor = adapter.get(name);
    if (tensor === undefined) throw new FedLoraError("adapter-invalid", `adapter tensor "${name}" is missing`);
    return tensor;
  };
  const entries: (readonly [string, Tensor])[] = [];
  for (const [name, tensor] of adapter) {
    const kind = tensorKindOf(name);
    if (kind === "lora-a" || kind === "head") entries.push([name, tensor]);
    if (kind !== "lora-b") continue;
    const keys = adapterKeys(moduleOfTensor(name));
    if (adapter.has(keys.r)) entries.push([name, timesLatent(tensor, take(keys.r))]);
    else if (adapter.has(keys.scaleOut))
      entries.push([name, scaled(tensor, take(keys.scaleOut), take(keys.scaleRank))]);
    else entries.push([name, tensor]);
  }
  return toStateDict(entries);
}

/** B R, [dOut, rank]. */
function timesLatent(b: Tensor, r: Tensor): Tensor {
  const [dOut = 0, rank = 0] = b.shape;
  const [left, right] = [toFloat32(b), toFloat32(r)];
  const product = new Float32Array(dOut * rank);
  for (let row = 0; row < dOut; row += 1) {
    for (let column = 0; column < rank; column += 1) {
      let sum = 0;
      for (let k = 0; k < rank; k += 1) sum += (left[row * rank + k] ?? 0) * (right[k * rank + column] ?? 0);
      product[row * rank + column] = sum;
    }
  }
  return fromFloat32(product, b.shape);
}

function scaled(b: Tensor, scaleOut: Tensor, scaleRank: Tensor): Tensor {
  const [, rank = 1] = b.shape;
  const [out, inner] = [toFloat32(scaleOut), toFloat32(scaleRank)];
  const product = toFloat32(b).map((x, i) => (out[Math.floor(i / rank)] ?? 0) * x * (inner[i % rank] ?? 0));
  return fromFloat32(product, b.shape);
}
