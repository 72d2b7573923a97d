import type { Aggregation, AggregationInput, Method, MethodRun, MethodRunState } from "../method.js";
import { bytesPerRound, freshOnly } from "../primitive/method-parts.js";
import { onInnerState, splitState, withOwnState } from "../wrapper/own-state.js";
import type { AdapterInitialisation, InitialisationRounds } from "./adapter-initialisation.js";

/** Name of the phase in which an adapter is initialised. */
export const initialisePhase = "initialise";

const prefix = "initialisation.";
const doneKey = `${prefix}done`;

/**
 * A method whose run begins with an initialisation's own rounds: until these are done, phase, instruction, intake,
 * aggregation and download are the initialisation's, afterwards the method's. The run's `rounds` counts both. The method's
 * own state is untouched meanwhile. A plain adapter of a run that took its start out of the base weights would be another
 * model: such a run exports the change with it.
 */
export function withInitialisation(method: Method, initialisation: AdapterInitialisation, run: MethodRun): Method {
  const exported = initialisation.writeBaseDelta === undefined ? method : withChangedBase(method);
  return initialisation.rounds === undefined ? exported : withRounds(exported, initialisation.rounds, run);
}

function withRounds(method: Method, rounds: InitialisationRounds, { spec }: MethodRun): Method {
  const inner = onInnerState(method, prefix);
  return {
    ...inner,
    initialState: () => withOwnState(method.initialState(), { values: { [doneKey]: 0 }, tensors: new Map() }),
    phase: (state, round) => (doneOf(state) < rounds.count ? initialisePhase : inner.phase(state, round)),
    prepare: (phase, state, client) =>
      phase === initialisePhase ? rounds.prepare(client) : inner.prepare(phase, state, client),
    // Methods ask for no sketches, so the form tells whose instruction it is.
    intake: (instruction, baseVersion) =>
      instruction.updateForm === "sketch"
        ? freshOnly(instruction, spec, baseVersion)
        : method.intake(instruction, baseVersion),
    projectFor: (instruction, global, state) =>
      instruction.updateForm === "sketch"
        ? rounds.projectFor(instruction, global)
        : inner.projectFor(instruction, global, state),
    bytes: (instruction) =>
      instruction.updateForm === "sketch" ? bytesPerRound(instruction, spec) : method.bytes(instruction),
    aggregate(input) {
      const { own, inner: state } = splitState(input.state, prefix);
      const done = doneOf(input.state);
      const inside: AggregationInput = { ...input, state };
      if (input.phase === initialisePhase) return keeping(rounds.aggregate(inside, done), { [doneKey]: done + 1 });
      return keeping(method.aggregate(inside), own.values);
    },
  };
}

function doneOf({ values }: MethodRunState): number {
  return Number(values[doneKey]);
}

function keeping(aggregation: Aggregation, values: MethodRunState["values"]): Aggregation {
  return {
    passes: aggregation.passes,
    finish(sealed) {
      const result = aggregation.finish(sealed);
      if (result.kind === "continue") return { kind: "continue", next: keeping(result.next, values) };
      if (result.kind === "refused") return result;
      return { ...result, state: withOwnState(result.state, { values, tensors: new Map() }) };
    },
  };
}

function withChangedBase(method: Method): Method {
  return {
    ...method,
    exports: (state) => {
      const forms = method.exports(state);
      return forms[0] === "peft" ? ["stacked", "truncated", "merged"] : forms;
    },
  };
}
