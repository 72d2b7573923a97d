import {
  codecOf,
  elementCount,
  FedLoraError,
  fromFloat32,
  itemSize,
  moduleOfTensor,
  rankAxes,
  shapesEqual,
  tensorKindOf,
  toFloat32,
  toStateDict,
} from "@fedlora/core";
import type { RunSpec, StateDict, Tensor, TensorKind, TensorLayout, TensorRole, TensorSpec } from "@fedlora/core";
import type { ByteCount, ClientCapability, ClientInstruction, IntakeRule, MethodRun } from "../method.js";

/** What a method says of a tensor; the rest of a role follows from the client. */
export type RoleFlags = Pick<TensorRole, "trained" | "uploaded" | "downloaded" | "keep">;

/** Families of codecs that values of any method can travel in. */
export const everyCodec = ["f32", "f16", "bf16", "int8", "topk"] as const;

/** Trained, and travels both ways. */
export const shared: RoleFlags = { trained: true, uploaded: true, downloaded: true, keep: "none" };
/** Never changes: travels once, by hash. */
export const frozen: RoleFlags = { trained: false, uploaded: false, downloaded: false, keep: "none" };
/** Trained, and never leaves the client. */
export const personal: RoleFlags = { trained: true, uploaded: false, downloaded: false, keep: "run" };
/** Downloaded and applied, but not trained. */
export const readOnly: RoleFlags = { trained: false, uploaded: false, downloaded: true, keep: "none" };

/**
 * The roles of one client: every tensor of the layout in the shape of the client's rank, tensors of modules that it does
 * not hold left out. `flagsOf` says what the method does with a tensor of a kind.
 */
export function rolesOf(
  layout: TensorLayout,
  ranks: ClientCapability["ranks"],
  flagsOf: (kind: TensorKind, spec: TensorSpec) => RoleFlags,
): TensorRole[] {
  return layout.flatMap((spec) => {
    const kind = tensorKindOf(spec.name);
    const shape = kind === "head" || ranks === undefined ? spec.shape : shapeAt(spec, kind, ranks);
    return shape === undefined ? [] : [{ spec: { ...spec, shape }, ...flagsOf(kind, spec) }];
  });
}

/**
 * The usual roles at a client's ranks, and modules that it does not hold in full, read-only: their current adapters are part
 * of the model that it trains.
 */
export function rolesAtDepth(layout: TensorLayout, ranks: ClientCapability["ranks"]): TensorRole[] {
  const held = new Map(rolesOf(layout, ranks, () => shared).map((role) => [role.spec.name, role]));
  return layout.map((spec) => held.get(spec.name) ?? { spec, ...readOnly });
}

function shapeAt(
  { name, shape }: TensorSpec,
  kind: Exclude<TensorKind, "head">,
  ranks: Readonly<Record<string, number>>,
): readonly number[] | undefined {
  const rank = ranks[moduleOfTensor(name)];
  if (rank === undefined || rank === 0) return undefined;
  const axes = rankAxes[kind];
  return shape.map((size, axis) => (axes.includes(axis) ? Math.min(rank, size) : size));
}

/** An instruction of the usual kind: deltas come back, nothing more is told. */
export function deltaInstruction(
  roles: readonly TensorRole[],
  more: Partial<Omit<ClientInstruction, "roles">> = {},
): ClientInstruction {
  return { roles, updateForm: "delta", directives: [], keepOptimizerState: false, ...more };
}

/** The uploaded tensors as they travel. */
export function uploadLayout({ roles, codec }: ClientInstruction, spec: RunSpec): TensorLayout {
  const uploaded = roles.filter((role) => role.uploaded).map((role) => role.spec);
  return codecOf(codec ?? spec.codec).encodedLayout(uploaded);
}

/** The download as it travels. */
export function downloadLayout({ roles, downloadCodec }: ClientInstruction): TensorLayout {
  const downloaded = roles.filter((role) => role.downloaded).map((role) => role.spec);
  return codecOf(downloadCodec ?? "f32").encodedLayout(downloaded);
}

/** Intake of methods whose updates only count in their own round. */
export function freshOnly(instruction: ClientInstruction, spec: RunSpec, baseVersion: number): IntakeRule {
  return {
    layout: uploadLayout(instruction, spec),
    maxNorm: spec.limits.maxUpdateNorm,
    requiredBaseVersion: baseVersion,
    staleWeight: (staleness) => (staleness === 0 ? 1 : 0),
  };
}

/**
 * Intake of methods that also take stale updates, with FedBuff's weight 1 / sqrt(1 + staleness) (Nguyen et al. 2022) up
 * to the policy's limit; synchronous runs have none.
 */
export function staleAllowed(instruction: ClientInstruction, spec: RunSpec, baseVersion: number): IntakeRule {
  const oldest = spec.policy.kind === "buffered" ? spec.policy.maxStaleness : 10;
  const staleWeight = (staleness: number): number => (staleness <= oldest ? 1 / Math.sqrt(1 + staleness) : 0);
  return { ...freshOnly(instruction, spec, baseVersion), staleWeight };
}

/** Bytes of the tensors of a round, without headers. */
export function bytesPerRound(instruction: ClientInstruction, spec: RunSpec): ByteCount {
  return { down: tensorBytes(downloadLayout(instruction)), up: tensorBytes(uploadLayout(instruction, spec)) };
}

export function tensorBytes(layout: TensorLayout): number {
  return layout.reduce((bytes, { dtype, shape }) => bytes + elementCount(shape) * itemSize[dtype], 0);
}

/** The downloaded tensors in the client's shapes: of larger tensors the leading rows and columns. */
export function projectLeading({ roles }: ClientInstruction, global: StateDict): StateDict {
  return leadingBlocks(
    roles.filter((role) => role.downloaded),
    global,
  );
}

/** The global values of some roles, in the roles' shapes. */
export function leadingBlocks(roles: readonly Pick<TensorRole, "spec">[], global: StateDict): StateDict {
  return toStateDict(
    roles.map(({ spec }) => [spec.name, leadingBlock(tensorOf(global, spec.name), spec.shape)] as const),
  );
}

/** The leading block of a tensor (rows and columns from 0), F32; the tensor itself where the shape is its own. */
export function leadingBlock(tensor: Tensor, shape: readonly number[]): Tensor {
  if (shapesEqual(tensor.shape, shape)) return tensor;
  const [rows = 1, columns = 1] = shape;
  const stride = tensor.shape.length > 1 ? (tensor.shape[1] ?? 1) : 1;
  const values = toFloat32(tensor);
  const out = new Float32Array(elementCount(shape));
  for (let row = 0; row < rows; row++) {
    out.set(values.subarray(row * stride, row * stride + columns), row * columns);
  }
  return fromFloat32(out, shape);
}

export function tensorOf(state: StateDict, name: string): Tensor {
  const tensor = state.get(name);
  if (tensor === undefined) throw new FedLoraError("tensor-invalid", `the global adapter has no "${name}"`);
  return tensor;
}

/** Scaling of the module that a group (`base_model.model.M`) or a tensor of it names. */
export function scalingOf({ scalings }: Pick<MethodRun, "scalings">, module: string): number {
  return scalings[module] ?? 1;
}
