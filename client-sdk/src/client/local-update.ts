import {
  codecOf,
  FedLoraError,
  firstNonFinite,
  fromFloat32,
  openEncoded,
  shapesEqual,
  toFloat32,
  toStateDict,
  type PlanInstructions,
  type StateDict,
  type TensorSpec,
} from "@fedlora/core";
import { privatizeUpdate } from "../privacy/clip-update.js";
import { type SecretSource, systemSecrets } from "../privacy/secrets.js";

export interface LocalUpdate {
  readonly update: StateDict;
  /** What the update does not say, F32: kept once it is accepted. Absent without error feedback. */
  readonly residual: StateDict | undefined;
}

/**
 * The tensors that go to the coordinator: for every tensor whose role says `uploaded` the trained values or the sketches,
 * or for deltas their difference to `start` taken in float32, in the plan's codec. With error feedback (Seide et al. 2014;
 * Karimireddy et al. 2019) a delta is sent together with what the codec left out before.
 *
 * In the privacy modes `client` and `local` the delta is clipped over all its tensors, and in `local` noised, before the
 * codec sees it. What was left out goes in before the clipping in mode `client`, whose noise the coordinator adds, and after
 * the noise in mode `local`: there all that is ever left out is a part of noised deltas, so to send it later tells no more.
 *
 * Everything that was trained is checked, so that nothing broken is sent or kept: throws `update-tensor-missing`,
 * `update-shape` and `update-not-finite` (also for what the codec cannot hold), naming the tensor.
 *
 * @param leftOut the residuals of the run; absent: no error feedback. A tensor without one starts with none.
 * @param secrets of the noise of mode `local`
 */
export function computeUpdate(
  instructions: PlanInstructions,
  start: StateDict,
  trained: StateDict,
  leftOut?: StateDict,
  secrets: SecretSource = systemSecrets,
): LocalUpdate {
  for (const [name, tensor] of trained) {
    const index = firstNonFinite(tensor);
    if (index < 0) continue;
    const message = `training left a value that is not finite in "${name}" at index ${index}`;
    throw new FedLoraError("update-not-finite", message, { details: { tensor: name, index: String(index) } });
  }
  const uploaded = instructions.roles.filter((role) => role.uploaded).map(({ spec }) => spec);
  const byName = new Map(uploaded.map((spec) => [spec.name, spec]));
  const codec = codecOf(instructions.codec);
  const isDelta = instructions.updateForm === "delta";
  // Of values, what was left out once is no part of what they are later.
  const feedback = codec.isLossy && isDelta ? leftOut : undefined;
  const changeOf = (name: string): Float32Array => {
    const spec = byName.get(name);
    if (spec === undefined) throw new FedLoraError("internal", `the codec asked for "${name}"`);
    const values = valuesOf(trained, spec, "training");
    return isDelta ? subtract(values, valuesOf(start, spec, "the start of the round")) : values;
  };
  const withFeedback = (name: string, values: Float32Array): Float32Array => {
    const before = feedback?.get(name);
    // A residual of another shape is of a time when this client had another rank.
    const isOurs = before !== undefined && shapesEqual(before.shape, byName.get(name)?.shape ?? []);
    return isOurs ? add(values, toFloat32(before)) : values;
  };
  const toSend =
    privateChanges(instructions, changeOf, withFeedback, secrets) ??
    ((name: string) => withFeedback(name, changeOf(name)));
  const update = codec.encode(uploaded, toSend);
  if (feedback === undefined) return { update, residual: undefined };
  const received = openEncoded(codec.decoder(uploaded), update);
  const residual = uploaded.map(({ name, shape }) => {
    return [name, fromFloat32(subtract(toSend(name), received(name)), shape)] as const;
  });
  return { update, residual: toStateDict(residual) };
}

/**
 * What is sent of each tensor in the modes that clip the whole update, which takes all tensors at once; undefined in the
 * others, where one is in memory at a time.
 */
function privateChanges(
  { privacy, roles }: PlanInstructions,
  changeOf: (name: string) => Float32Array,
  withFeedback: (name: string, values: Float32Array) => Float32Array,
  secrets: SecretSource,
): ((name: string) => Float32Array) | undefined {
  if (privacy === undefined || privacy.mode === "example") return undefined;
  const isNoised = privacy.mode === "local";
  const names = roles.filter((role) => role.uploaded).map(({ spec }) => spec.name);
  const changes = names.map((name) => (isNoised ? changeOf(name) : withFeedback(name, changeOf(name))));
  privatizeUpdate(changes, privacy, () => secrets.next());
  const sent = new Map(
    changes.map((values, i) => {
      const name = names[i] ?? "";
      return [name, isNoised ? withFeedback(name, values) : values] as const;
    }),
  );
  return (name) => sent.get(name) ?? changeOf(name);
}

function valuesOf(state: StateDict, { name, shape }: TensorSpec, where: string): Float32Array {
  const tensor = state.get(name);
  if (tensor === undefined) {
    const message = `"${name}" is to be uploaded, but ${where} did not give it`;
    throw new FedLoraError("update-tensor-missing", message, { details: { tensor: name } });
  }
  if (!shapesEqual(tensor.shape, shape)) {
    const message = `"${name}" of ${where} has shape [${tensor.shape.join(", ")}], the plan asks for [${shape.join(", ")}]`;
    throw new FedLoraError("update-shape", message, { details: { tensor: name } });
  }
  return toFloat32(tensor);
}

function add(a: Float32Array, b: Float32Array): Float32Array {
  for (let i = 0; i < a.length; i += 1) a[i] = (a[i] ?? 0) + (b[i] ?? 0);
  return a;
}

function subtract(a: Float32Array, b: Float32Array): Float32Array {
  const result = new Float32Array(a.length);
  for (let i = 0; i < result.length; i += 1) result[i] = (a[i] ?? 0) - (b[i] ?? 0);
  return result;
}
