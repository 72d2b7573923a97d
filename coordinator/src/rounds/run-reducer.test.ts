import type { BlobId, ClientId, PlanId, RunId, RunSpec } from "@fedlora/core";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { exposure, exposureOf } from "../privacy/run-privacy.js";
import { testSpec } from "../testing/federation.js";
import {
  decideAcceptance,
  decideDecline,
  decideDrops,
  decideEvaluationAcceptance,
  decideReturn,
} from "./decide-plans.js";
import {
  decideCommit,
  decideDeadline,
  decideEvaluated,
  decideEvaluation,
  decideFailure,
  decideNoiseKey,
  decideRefill,
  decideResume,
  decideStart,
  decideStop,
  decideUnfilled,
} from "./decide-round.js";
import type { BlobRef, IssuedPlan, RunEvent, SequencedRunEvent } from "./run-events.js";
import { commandKey, pendingCommand, reduce } from "./run-reducer.js";
import { plansOf, quorumOf, updatesPerRound } from "./run-state.js";
import type { RunMachineState } from "./run-state.js";

const hasPlan = (event: RunEvent, planId: PlanId): boolean =>
  ("plans" in event && event.plans.some((plan) => plan.planId === planId)) ||
  ("plan" in event && event.plan.planId === planId);

const runId = "spam-1" as RunId;
const ref = (name: string): BlobRef => ({
  id: Buffer.from(name).toString("hex").padEnd(64, "0").slice(0, 64) as BlobId,
  size: 8,
});
const clients = ["a", "b", "c", "d", "e"] as ClientId[];
const usual = { rounds: 3, evaluation: { every: 2, target: 0.05 } };
const spec = testSpec({ ...usual, cohort: { size: 2, overSelection: 1.5 } });
const budget = { epsilon: 8, delta: 1e-3, clipNorm: 1, metricsNoise: 1 };
const clientSpec = testSpec({ ...usual, cohort: { size: 2 }, privacy: { mode: "client", ...budget, population: 5 } });
const localSpec = testSpec({ ...usual, cohort: { size: 2 }, privacy: { mode: "local", ...budget } });
const specs = fc.constantFrom(spec, clientSpec, localSpec);

/** What may be tried in any state; `pick` chooses among clients and plans. */
interface Action {
  readonly kind: number;
  readonly pick: number;
}

function issue(state: RunMachineState, count: number, first: number, atMs: number): IssuedPlan[] {
  const taken = new Set(plansOf(state).map(({ clientId }) => clientId));
  return clients
    .filter((clientId) => !taken.has(clientId))
    .slice(0, count)
    .map((clientId, index) => ({
      planId: `${runId}.${state.round}.${atMs}-${first + index}` as PlanId,
      clientId,
      instructions: ref("instructions"),
      download: state.adapter,
      frozen: [],
      uploadBytes: 100,
      maxNorm: null,
      weightFactor: 1,
    }));
}

/** Clients of a round's start; where cohorts are drawn by chance, perhaps none. */
const start = ({ spec: { privacy } }: RunMachineState, pick: number): number =>
  privacy.mode === "client" ? pick % 4 : 1 + (pick % 3);

/** The events that an action would journal: the decisions of the driver, or nothing where they refuse. */
function decide(state: RunMachineState, { kind, pick }: Action, atMs: number): readonly RunEvent[] {
  const command = pendingCommand(state) ?? { kind: "aggregate" as const, round: state.round, attempt: state.attempt };
  const plans = plansOf(state);
  const plan = plans[pick % Math.max(1, plans.length)];
  const metrics = {
    numExamples: pick + 1,
    numSteps: 1,
    trainLoss: pick / 7,
    evaluation: { count: 10, lossSum: pick, confusion: [1, 2, 3, 4] },
    trainMs: 1,
  };
  const bytes = { bytesUp: pick, bytesDown: pick };
  switch (kind) {
    case 0:
      return decideStart(
        state,
        command,
        { methodPhase: "train", plans: issue(state, start(state, pick), 0, atMs) },
        atMs,
      );
    case 1:
    case 2:
    case 3: {
      if (plan === undefined) return [];
      const update = { blobId: ref(plan.planId).id, bytes: 8, updateNorm: 1, metrics, weight: 1 };
      const decision =
        plan.kind === "train"
          ? decideAcceptance(state, plan.clientId, plan.planId, update, atMs)
          : decideEvaluationAcceptance(state, plan.clientId, plan.planId, metrics, atMs);
      return decision.kind === "accept" ? decision.events : [];
    }
    case 4:
      return plan === undefined ? [] : decideDecline(state, plan.clientId, plan.planId, "policy-declined", "no", atMs);
    case 5:
      return plan === undefined ? [] : decideDrops(state, [{ planId: plan.planId, silentMs: 5 }], atMs);
    case 6:
      return plan === undefined ? [] : decideReturn(state, plan.planId, atMs);
    case 7:
      return decideRefill(state, command, issue(state, 2, 10, atMs), atMs);
    case 8:
      return pick % 2 === 0 ? decideDeadline(state, command, atMs) : decideUnfilled(state, command, atMs);
    case 9:
    case 10: {
      const named = pick % 2 === 0 ? decideNoiseKey(state, command, `key-${atMs}`, atMs) : [];
      if (named.length > 0) return named;
      const result = { adapter: ref(`adapter ${atMs}`), methodState: ref("s"), baseVersion: 0, methodMetrics: {} };
      const clipNorm = { clipNorm: state.privacy?.clipNorm ?? 1, nextClipNorm: 1 + pick };
      const privacy = state.privacy === null ? {} : { privacy: { epsilon: pick, ...clipNorm } };
      return decideCommit(state, command, { ...result, ...bytes, ...privacy }, atMs);
    }
    case 11:
      return decideEvaluation(state, command, { plans: issue(state, pick % 3, 20, atMs) }, atMs);
    case 12:
      return decideEvaluated(state, command, bytes, atMs);
    case 13:
      return pick % 10 === 0 ? decideFailure(state, "round-failed", "no", atMs) : [];
    case 14:
      return pick % 10 === 0 && state.status === "running" ? decideStop(state, `s${atMs}`, "", atMs) : [];
    default:
      return state.status === "completed" ? [] : decideResume(state, `r${atMs}`, atMs);
  }
}

/** A history that could have happened: whatever is tried, in whatever order. */
function play(
  actions: readonly Action[],
  of: RunSpec = spec,
): {
  readonly events: SequencedRunEvent[];
  readonly states: RunMachineState[];
} {
  const created = {
    type: "run-created",
    runId,
    round: 0,
    atMs: 1,
    sequence: 1,
    idempotencyKey: "k",
    spec: of,
    adapter: ref("0"),
    ...(of.privacy.mode === "none" ? {} : { privacy: { noiseMultiplier: 1, isNoiseSolved: false } }),
  };
  const events: SequencedRunEvent[] = [created as SequencedRunEvent];
  const states = [reduce(undefined, events[0]!).state];
  for (const [index, action] of actions.entries()) {
    let decided: readonly RunEvent[] = [];
    try {
      decided = decide(states.at(-1)!, action, 2 + index);
    } catch {
      // A coded refusal journals nothing.
    }
    for (const event of decided) {
      const sequenced = { ...event, sequence: events.length + 1 };
      events.push(sequenced);
      states.push(reduce(states.at(-1), sequenced).state);
    }
  }
  return { events, states };
}

const actions = fc.array(fc.record({ kind: fc.integer({ min: 0, max: 15 }), pick: fc.nat(30) }), {
  minLength: 20,
  maxLength: 300,
  size: "max",
});
const replay = (events: readonly SequencedRunEvent[], from?: RunMachineState): RunMachineState | undefined =>
  events.reduce<RunMachineState | undefined>((state, event) => reduce(state, event).state, from);

describe("the reducer", () => {
  test("gets somewhere in the histories that the other tests draw", () => {
    const reached = new Set<string>();
    for (const history of fc.sample(actions, { numRuns: 300, seed: 1 })) {
      for (const { type } of play(history).events) reached.add(type);
    }
    expect([...reached].sort()).toEqual(
      [
        ...["client-dropped", "client-returned", "evaluation-accepted", "evaluation-started", "plan-declined"],
        ...["round-closed", "round-committed", "round-evaluated", "round-started", "run-completed", "run-created"],
        ...["run-failed", "run-resumed", "run-stopped", "slot-refilled", "update-accepted"],
      ].sort(),
    );
  });

  test("keeps its invariants", () => {
    fc.assert(
      fc.property(actions, specs, (history, of) => {
        const { states } = play(history, of);
        for (const [index, state] of states.entries()) {
          const plans = plansOf(state);
          const accepted = plans.filter(({ acceptance }) => acceptance !== null);
          expect(accepted.every(({ status }) => status === "accepted")).toBe(true);
          // Nobody has two plans of a stage, nobody counts twice, no more count than the cohort has.
          expect(new Set(plans.map(({ clientId }) => clientId)).size).toBe(plans.length);
          if (state.phase === "training" || state.phase === "aggregating") {
            expect(accepted.length).toBeLessThanOrEqual(updatesPerRound(state));
          }
          expect(state.rounds.map(({ round }) => round)).toEqual(state.rounds.map((_, at) => at + 1));
          expect(state.rounds.length).toBeLessThanOrEqual(spec.rounds);
          for (const record of state.rounds) {
            expect(record.accepted).toBeLessThanOrEqual(record.planned);
            expect(record.accepted).toBeGreaterThanOrEqual(quorumOf(state));
            expect(record.planned).toBe(record.accepted + record.declined + record.dropouts);
          }
          if (state.status === "completed") expect(state.rounds.length).toBeGreaterThan(0);
          // A round that is committed changes only by its evaluation, and that once.
          const before = states[index - 1];
          for (const [at, record] of before?.rounds.entries() ?? []) {
            const after = state.rounds[at]!;
            expect({ ...after, evaluation: null, bytesUp: 0, bytesDown: 0 }).toEqual({
              ...record,
              evaluation: null,
              bytesUp: 0,
              bytesDown: 0,
            });
            if (record.evaluation !== null) expect(after).toEqual(record);
          }
          // A run that goes on always has something to do.
          expect(pendingCommand(state) !== undefined).toBe(state.status === "running");
        }
      }),
      { numRuns: 300 },
    );
  });

  test("gives the same state for a prefix and the rest, over JSON, as for the whole", () => {
    fc.assert(
      fc.property(actions, specs, fc.nat(), (history, of, cut) => {
        const { events, states } = play(history, of);
        const at = 1 + (cut % events.length);
        const prefix = JSON.parse(JSON.stringify(replay(events.slice(0, at)))) as RunMachineState;
        const rest = JSON.parse(JSON.stringify(events.slice(at))) as SequencedRunEvent[];
        expect(JSON.stringify(replay(rest, prefix))).toBe(JSON.stringify(states.at(-1)));
        expect(prefix).toEqual(states[at - 1]);
      }),
      { numRuns: 200 },
    );
  });

  test("counts every release that was begun, whatever became of it", () => {
    fc.assert(
      fc.property(actions, fc.constantFrom(clientSpec, localSpec), (history, of) => {
        const { events, states } = play(history, of);
        for (const [index, state] of states.entries()) {
          const sofar = events.slice(0, index + 1);
          const { spent, noiseKey } = state.privacy!;
          if (noiseKey !== null) expect([state.status, state.phase]).toEqual(["running", "aggregating"]);
          const plansOfClient = (clientId: ClientId, kind: "train" | "evaluate"): number =>
            sofar.reduce((count, event) => {
              if (event.type === "slot-refilled")
                return count + Number(kind === "train" && event.plan.clientId === clientId);
              if (event.type === "round-started" || event.type === "evaluation-started") {
                const isKind = (event.type === "round-started") === (kind === "train");
                return count + (isKind ? event.plans.filter((plan) => plan.clientId === clientId).length : 0);
              }
              if (event.type !== "plan-declined" || event.clientId !== clientId) return count;
              const isTraining = sofar.some((one) => one.type !== "evaluation-started" && hasPlan(one, event.planId));
              return count - Number(isTraining === (kind === "train"));
            }, 0);
          const rounds = sofar.filter(({ type }) => type === "round-started").length;
          for (const clientId of clients) {
            const counts = exposureOf(state.privacy!, clientId);
            const training = of.privacy.mode === "client" ? rounds : plansOfClient(clientId, "train");
            expect(counts).toEqual({ training, evaluation: plansOfClient(clientId, "evaluate") });
            expect(counts.training).toBeLessThanOrEqual(exposure(state.privacy!).training);
          }
          expect(Object.keys(spent).length).toBeLessThanOrEqual(clients.length + 1);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("says what became due exactly when it became due", () => {
    fc.assert(
      fc.property(actions, specs, (history, of) => {
        const { events } = play(history, of);
        let state: RunMachineState | undefined;
        let due = "";
        for (const event of events) {
          const { state: next, commands } = reduce(state, event);
          const now = commandKey(pendingCommand(next));
          expect(commands.map(commandKey)).toEqual(now !== due && now !== "" ? [now] : []);
          due = now;
          state = next;
        }
      }),
      { numRuns: 100 },
    );
  });
});
