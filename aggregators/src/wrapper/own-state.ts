import { toStateDict } from "@fedlora/core";
import type { Method, MethodRunState } from "../method.js";

type Content = Pick<MethodRunState, "values" | "tensors">;

/** A run state, apart: what a wrapper keeps under its prefix, and what the method inside it keeps. */
export function splitState(state: MethodRunState, prefix: string): { own: Content; inner: MethodRunState } {
  const part = (isOwn: boolean): Content => ({
    values: Object.fromEntries(Object.entries(state.values).filter(([key]) => key.startsWith(prefix) === isOwn)),
    tensors: new Map([...state.tensors].filter(([name]) => name.startsWith(prefix) === isOwn)),
  });
  return { own: part(true), inner: { version: state.version, ...part(false) } };
}

/** The state of the method inside, with what a wrapper keeps. */
export function withOwnState(inner: MethodRunState, own: Content): MethodRunState {
  return {
    version: inner.version,
    values: { ...inner.values, ...own.values },
    tensors: toStateDict([...inner.tensors, ...own.tensors]),
  };
}

/** The method as a wrapper passes it on: it never sees what the wrapper keeps. `aggregate` is left to the wrapper. */
export function onInnerState(method: Method, prefix: string): Omit<Method, "aggregate"> {
  const inner = (state: MethodRunState): MethodRunState => splitState(state, prefix).inner;
  return {
    ...method,
    phase: (state, round) => method.phase(inner(state), round),
    prepare: (phase, state, client) => method.prepare(phase, inner(state), client),
    projectFor: (instruction, global, state) => method.projectFor(instruction, global, inner(state)),
    exports: (state) => method.exports(inner(state)),
    ...(method.toPlainLora && { toPlainLora: (global, state) => method.toPlainLora?.(global, inner(state)) ?? global }),
  };
}
