import type { LocalTrainer, TrainResult } from "@fedlora/client-sdk";
import { fromFloat32, toFloat32, type EvaluationCounts, type StateDict } from "@fedlora/core";
import type { Misbehaviour } from "../scenario/fault-schema.js";
import type { Behaviour, Behaviours } from "./behaviour.js";

export interface AttackingTrainerParts {
  readonly trainer: LocalTrainer;
  readonly behaviours: Behaviours;
  readonly behaviour: Behaviour;
  readonly client: number;
}

/** A client that returns something else than what it was asked to train; it goes through the plan's codec like the truth. */
export class AttackingTrainer implements LocalTrainer {
  readonly #parts: AttackingTrainerParts;

  constructor(parts: AttackingTrainerParts) {
    this.#parts = parts;
  }

  async train(...args: Parameters<LocalTrainer["train"]>): Promise<TrainResult> {
    const [request] = args;
    const { trainer, behaviour, behaviours, client } = this.#parts;
    const does = (kind: Misbehaviour["kind"]): boolean => behaviours.happens(behaviour, kind, client, request.round);
    const result = await trainer.train(...args);
    const { start } = request;
    let { trained, metrics } = result;
    if (does("free-rider")) trained = mapped(trained, start, (value, before) => before);
    const flip = behaviour.get("sign-flip");
    if (flip?.kind === "sign-flip" && does("sign-flip")) {
      trained = mapped(trained, start, (value, before) => before - flip.factor * (value - before));
    }
    const scaling = behaviour.get("scaling");
    if (scaling?.kind === "scaling" && does("scaling")) {
      trained = mapped(trained, start, (value, before) => before + scaling.factor * (value - before));
    }
    const collusion = behaviour.get("collusion");
    if (collusion?.kind === "collusion" && does("collusion")) {
      trained = this.#colluded(trained, start, collusion.norm, request.round);
    }
    const gaming = behaviour.get("count-gaming");
    if (gaming?.kind === "count-gaming" && does("count-gaming")) {
      metrics = { ...metrics, numExamples: Math.round(metrics.numExamples * gaming.factor) };
    }
    return { ...result, trained, metrics };
  }

  evaluate(request: Parameters<LocalTrainer["evaluate"]>[0], signal: AbortSignal): Promise<EvaluationCounts> {
    return this.#parts.trainer.evaluate(request, signal, () => undefined);
  }

  heldBaseDeltas(ids: readonly string[]): Promise<number> {
    return this.#parts.trainer.heldBaseDeltas?.(ids) ?? Promise.resolve(0);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The start, moved in a direction of the round's own by exactly `norm` over all tensors. */
  #colluded(trained: StateDict, start: StateDict, norm: number, round: number): StateDict {
    const moves = new Map(
      [...trained].map(([name, tensor]) => {
        const stream = this.#parts.behaviours.sharedStream(round, name);
        return [name, stream.normals(toFloat32(tensor).length, 1)] as const;
      }),
    );
    const squares = [...moves.values()].reduce(
      (sum, move) => sum + move.reduce((all, value) => all + value ** 2, 0),
      0,
    );
    const scale = norm / Math.sqrt(squares);
    return mapped(trained, start, (_, before, name, index) => before + scale * (moves.get(name)?.[index] ?? 0));
  }
}

/** Replaces every value that has a start; others (controls) stay as they are. */
function mapped(
  trained: StateDict,
  start: StateDict,
  change: (value: number, before: number, name: string, index: number) => number,
): StateDict {
  return new Map(
    [...trained].map(([name, tensor]) => {
      const before = start.get(name);
      if (before === undefined) return [name, tensor] as const;
      const from = toFloat32(before);
      const values = toFloat32(tensor).map((value, index) => change(value, from[index] ?? 0, name, index));
      return [name, fromFloat32(values, tensor.shape)] as const;
    }),
  );
}
