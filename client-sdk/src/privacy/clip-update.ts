import { FedLoraError, type PlanPrivacy, SecretRandom } from "@fedlora/core";

/**
 * A client's whole update, tensor after tensor, brought to an L2 norm of at most `clipNorm` over all values together; in
 * mode `local` with noise on every value. Any two clients' clipped updates differ by at most 2 `clipNorm`, so the noise has
 * the deviation noiseMultiplier x 2 `clipNorm`. Values are scaled and noised in float64 and rounded once.
 *
 * @param values changed in place; all finite
 * @param key 32 secret bytes, for mode `local`
 */
export function privatizeUpdate(
  values: readonly Float32Array[],
  { mode, clipNorm, noiseMultiplier }: PlanPrivacy,
  key: () => Uint8Array,
): void {
  // DP-SGD has clipped and noised every step.
  if (mode === "example") return;
  let squares = 0;
  for (const tensor of values) for (const value of tensor) squares += value * value;
  const norm = Math.sqrt(squares);
  if (!Number.isFinite(norm)) throw new FedLoraError("update-not-finite", "an update without a finite norm");
  const scale = norm > clipNorm ? clipNorm / norm : 1;
  const random = mode === "local" ? new SecretRandom(key()) : undefined;
  for (const tensor of values) {
    const scaled = Float64Array.from(tensor, (value) => value * scale);
    random?.addNormals(scaled, noiseMultiplier * 2 * clipNorm);
    tensor.set(scaled);
  }
  random?.erase();
}
