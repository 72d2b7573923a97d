import {
  adapterKeys,
  baseDeltaKeys,
  canonicalLayout,
  FedLoraError,
  firstLayoutDifference,
  firstNonFinite,
  toFloat32,
} from "@fedlora/core";
import type { StateDict, Tensor, TensorSpec } from "@fedlora/core";
import type { MethodRun, TensorSink } from "../method.js";
import { scalingOf, tensorOf } from "../primitive/method-parts.js";
import type { AdapterInitialisation } from "./adapter-initialisation.js";
import { sketchedModules } from "./sketched-modules.js";

/**
 * An adapter made beforehand, whose hash the run spec names: PiSSA's principal factors of the base weights, a LoRA-SB start
 * from public data, an adapter of an earlier run.
 *
 * With `subtracted` (PiSSA, Meng et al. 2024) the starting product is taken out of the base weights, W = W0 - s B0 A0, as
 * base delta version 1, so that the run starts as the base model.
 */
export function fromFile(run: MethodRun): AdapterInitialisation {
  const { adapterLayout, spec } = run;
  const { init } = spec.adapter;
  const isSubtracted = init.kind === "file" && init.subtracted;
  return {
    kind: "file",
    paper: "PiSSA (Meng et al. 2024), where the file is one",
    start(_seeded, given) {
      if (given === undefined) {
        throw new FedLoraError("adapter-invalid", "adapter.init.kind file: the run was created without its adapter");
      }
      const difference = firstLayoutDifference(adapterLayout, given);
      if (difference !== undefined) {
        throw new FedLoraError("adapter-invalid", `adapter.init: the file's ${difference.message}`, {
          details: { tensor: difference.tensor },
        });
      }
      for (const [name, tensor] of given) assertFinite(name, tensor);
      return given;
    },
    ...(isSubtracted && { writeBaseDelta: (start: StateDict, sink: TensorSink) => writeSubtraction(run, start, sink) }),
  };
}

function assertFinite(name: string, tensor: Tensor): void {
  const index = firstNonFinite(tensor);
  if (index < 0) return;
  throw new FedLoraError("adapter-invalid", `adapter.init: tensor "${name}" of the file is not finite at ${index}`, {
    details: { tensor: name },
  });
}

/** delta_B = -s B0, delta_A = A0. */
function writeSubtraction(run: MethodRun, start: StateDict, sink: TensorSink): ReturnType<WriteBaseDelta> {
  const modules = sketchedModules(run.adapterLayout);
  const specs = modules.flatMap(({ name, rank, dIn, dOut }): TensorSpec[] => [
    { name: baseDeltaKeys(name).a, dtype: "F32", shape: [rank, dIn] },
    { name: baseDeltaKeys(name).b, dtype: "F32", shape: [dOut, rank] },
  ]);
  sink.open(canonicalLayout(specs));
  for (const { name } of modules) {
    const { a, b } = adapterKeys(name);
    const scaling = scalingOf(run, name);
    sink.write(baseDeltaKeys(name).a, toFloat32(tensorOf(start, a)));
    sink.write(
      baseDeltaKeys(name).b,
      toFloat32(tensorOf(start, b)).map((value) => -scaling * value),
    );
  }
  return { fromVersion: 0, toVersion: 1 };
}

type WriteBaseDelta = NonNullable<AdapterInitialisation["writeBaseDelta"]>;
