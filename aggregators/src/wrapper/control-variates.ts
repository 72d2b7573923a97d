import {
  canonicalLayout,
  clientControlName,
  compareNames,
  controlledTensor,
  elementCount,
  FedLoraError,
  fromFloat32,
  isControlTensor,
  serverControlName,
  toFloat32,
  toStateDict,
} from "@fedlora/core";
import type { ClientId, StateDict, Tensor, TensorLayout, TensorRole } from "@fedlora/core";
import type {
  Aggregation,
  ClientInstruction,
  ClientStateDeclaration,
  Method,
  MethodRun,
  MethodRunState,
} from "../method.js";
import { leadingBlock } from "../primitive/method-parts.js";
import { controlSumPass } from "./control-sum.js";
import type { ControlSum } from "./control-sum.js";
import { onInnerState, splitState, withOwnState } from "./own-state.js";

const prefix = "control.";
const participants = `${prefix}participants`;
const pass = "control-variates";
const stateName = (tensor: string): string => `${prefix}${tensor}`;

/**
 * SCAFFOLD around a method: per tensor that is trained and uploaded, the client downloads the coordinator's control c,
 * keeps its own c_k for the run and sends c_k' - c_k beside its change. The run state holds, per tensor T, `control.T`:
 * the sum of all clients' controls, to which every round adds the changes of its contributors, each counted once
 * whatever its weight; and the ids of the clients that ever contributed. c is that sum over their number N: the paper's
 * c += (|S| / N) mean(c_k' - c_k), where N is not the clients that exist, whom nobody knows, but those that have a
 * control; while N grows, c stays the mean of all controls. A client that lost its control starts from zero again, and
 * the sum keeps what it had.
 *
 * Bytes up and down double for the tensors that travel. Controls are in the units of gradients: a bound on the update's
 * norm bounds both together.
 *
 * Paper: Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", 2020, option II.
 */
export function withControlVariates(method: Method, run: MethodRun): Method {
  const inside = onInnerState(method, prefix);
  return {
    ...inside,
    prepare: (phase, state, client) => withControlRoles(inside.prepare(phase, state, client)),
    clientState: () => withControlState(method),
    projectFor(instruction, global, state) {
      const roles = instruction.roles.filter(({ spec }) => !isControlTensor(spec.name));
      const controls = instruction.roles.filter(({ spec, downloaded }) => downloaded && isControlTensor(spec.name));
      const { own } = splitState(state, prefix);
      const projected = inside.projectFor({ ...instruction, roles }, global, state);
      return toStateDict([...projected, ...controls.map(({ spec }) => [spec.name, serverControl(own, spec)] as const)]);
    },
    aggregate(input) {
      if (input.visible === "sum") {
        throw new FedLoraError("spec-combination-refused", "control variates need each update, or sums of their own");
      }
      const { own, inner: state } = splitState(input.state, prefix);
      const aggregation = method.aggregate({ ...input, state });
      return withControls(aggregation, run.adapterLayout, own);
    },
  };
}

function withControlRoles(instruction: ClientInstruction): ClientInstruction {
  const controlled = instruction.roles.filter((role) => role.trained && role.uploaded);
  if (controlled.length === 0) return instruction;
  const controls = controlled.flatMap(({ spec }): TensorRole[] => [
    {
      spec: { ...spec, name: serverControlName(spec.name) },
      trained: false,
      uploaded: false,
      downloaded: true,
      keep: "none",
    },
    {
      spec: { ...spec, name: clientControlName(spec.name) },
      trained: false,
      uploaded: true,
      downloaded: false,
      keep: "run",
    },
  ]);
  return {
    ...instruction,
    roles: [...instruction.roles, ...controls].sort((a, b) => compareNames(a.spec.name, b.spec.name)),
    directives: [...instruction.directives, { kind: "control-variate", version: 1 }],
  };
}

/** Adds a control of every tensor that a client of full rank trains and sends. */
function withControlState(method: Method): ClientStateDeclaration {
  const declared = method.clientState();
  const client = { clientId: "" as ClientId, maxRank: undefined, ranks: undefined, directives: [], codecs: [] };
  const state = method.initialState();
  const { roles } = withControlRoles(method.prepare(method.phase(state, 1), state, client));
  const controls = roles
    .filter(({ spec, keep }) => isControlTensor(spec.name) && keep === "run")
    .map(({ spec }) => spec);
  if (declared === undefined) {
    return { tensors: controls, scope: "run", whenLost: "start-from-init", newcomers: "none" };
  }
  return { ...declared, tensors: canonicalLayout([...declared.tensors, ...controls]) };
}

/** c of one tensor at a client's shape: the sum of the controls over the clients that have one; zero at first. */
function serverControl(own: Pick<MethodRunState, "values" | "tensors">, { name, shape }: TensorRole["spec"]): Tensor {
  const sum = own.tensors.get(stateName(controlledTensor(name)));
  const count = participantsOf(own).length;
  if (sum === undefined || count === 0) return fromFloat32(new Float32Array(elementCount(shape)), shape);
  return fromFloat32(
    toFloat32(leadingBlock(sum, shape)).map((value) => value / count),
    shape,
  );
}

/** Ids of the clients whose control is in the sums, sorted. */
function participantsOf({ values }: Pick<MethodRunState, "values">): readonly string[] {
  const ids = values[participants];
  return typeof ids !== "string" || ids === "" ? [] : ids.split(" ");
}

function withControls(
  aggregation: Aggregation,
  layout: TensorLayout,
  before: Pick<MethodRunState, "values" | "tensors">,
): Aggregation {
  const finishWith = (next: Aggregation, sums: readonly ControlSum[] | undefined): Aggregation => ({
    passes:
      sums === undefined ? [...next.passes, controlSumPass(pass, layout, before.tensors, stateName)] : next.passes,
    finish(sealed) {
      const summed = sums ?? [...(sealed.get(pass)?.values() ?? [])].map((sum) => sum as ControlSum);
      const result = next.finish(sealed);
      if (result.kind === "continue") return { kind: "continue", next: finishWith(result.next, summed) };
      if (result.kind === "refused") return result;
      return { ...result, state: withOwnState(result.state, nextControls(before, summed)) };
    },
  });
  return finishWith(aggregation, undefined);
}

function nextControls(
  before: Pick<MethodRunState, "values" | "tensors">,
  sums: readonly ControlSum[],
): Pick<MethodRunState, "values" | "tensors"> {
  const ids = new Set([...participantsOf(before), ...sums.flatMap((sum) => sum.clients)]);
  const tensors: StateDict = new Map([...before.tensors, ...sums.flatMap((sum) => [...sum.tensors])]);
  return { values: { [participants]: [...ids].sort(compareNames).join(" ") }, tensors };
}
