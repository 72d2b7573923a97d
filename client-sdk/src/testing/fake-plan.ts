import {
  adapterSchema,
  codecFamilies,
  codecOf,
  fromFloat32,
  taskSchema,
  trainingSchema,
  type BaseModelHash,
  type PlanInstructions,
  type StateDict,
  type TensorRole,
} from "@fedlora/core";

export const fakeBaseModelHash = "ab".repeat(32) as BaseModelHash;

/** A trained, uploaded and downloaded tensor of float32. */
export function fakeRole(name: string, shape: readonly number[], changes: Partial<TensorRole> = {}): TensorRole {
  const spec = { name, dtype: "F32", shape } as const;
  return { spec, trained: true, uploaded: true, downloaded: true, keep: "none", ...changes };
}

/** Instructions as FedAvg gives them, for tensors of any names. */
export function fakeInstructions(
  roles: readonly TensorRole[],
  changes: Partial<PlanInstructions> = {},
): PlanInstructions {
  const codec = changes.codec ?? "f32";
  const uploaded = roles.filter((role) => role.uploaded).map(({ spec }) => spec);
  const isKnown = codecFamilies.has(codec.split(":", 1)[0] ?? "");
  return {
    format: "fedlora-instructions/1",
    task: taskSchema.parse({ kind: "sequence-classification", labels: ["ham", "spam"] }),
    adapter: adapterSchema.parse({ rank: 2, targetModules: ["query"] }),
    training: trainingSchema.parse({}),
    roles,
    updateForm: "delta",
    uploadLayout: isKnown ? codecOf(codec).encodedLayout(uploaded) : uploaded,
    codec,
    directives: [],
    keepOptimizerState: false,
    seed: 7,
    ...changes,
  };
}

/** Float32 tensors of one value each, by name. */
export function filledState(values: Readonly<Record<string, readonly [number, readonly number[]]>>): StateDict {
  return new Map(
    Object.entries(values).map(([name, [value, shape]]) => {
      const length = shape.reduce((product, size) => product * size, 1);
      return [name, fromFloat32(new Float32Array(length).fill(value), shape)];
    }),
  );
}
