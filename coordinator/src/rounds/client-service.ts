import { updateWeight } from "@fedlora/aggregators";
import { FedLoraError, RandomStream, randomKey } from "@fedlora/core";
import type { BlobId, ClientId, ErrorCode, PlanId, RoundPlan, UpdateMetrics, UpdateReceipt } from "@fedlora/core";
import { receiptBytes } from "@fedlora/proto";
import { createHash } from "node:crypto";

import type { ClientInfo, ClientService, PollAnswer, UploadTicket } from "../service.js";
import { keptMetrics } from "../privacy/private-metrics.js";
import type { CoordinatorCore } from "./coordinator-core.js";
import {
  answerablePlanOf,
  decideAcceptance,
  decideDecline,
  decideEvaluationAcceptance,
  decideRefusal,
  decideReturn,
  findPlan,
  isAnswerable,
  roundClosed,
} from "./decide-plans.js";
import type { AcceptDecision } from "./decide-plans.js";
import type { PresentClient } from "./presence.js";
import type { RunDriver } from "./run-driver.js";
import type { BlobRef, RunEvent } from "./run-events.js";
import { livePlan, livePlans } from "./run-state.js";
import { readUpdateForm } from "./update-form.js";
import type { UpdateForm } from "./update-form.js";
import type { PlanState, RunMachineState } from "./run-state.js";
import { finalAdapter } from "./run-views.js";

const noUpdate: UpdateForm = { layout: [], values: [], codec: "f32" };

/** Layouts that are kept in memory, by the id of their instructions. */
const maxCachedLayouts = 64;

/** The clients' side of the coordinator. */
export class CoordinatorClientService implements ClientService {
  readonly #core: CoordinatorCore;
  readonly #sign: (bytes: Uint8Array) => Uint8Array;
  readonly #jitter: RandomStream;
  readonly #layouts = new Map<BlobId, UpdateForm>();
  /** The latest end that a client was told: it is told again until it enrols again. */
  readonly #told = new Map<ClientId, { readonly key: string; readonly isKnown: boolean }>();

  constructor(core: CoordinatorCore, signReceipt: (bytes: Uint8Array) => Uint8Array) {
    this.#core = core;
    this.#sign = signReceipt;
    this.#jitter = new RandomStream(randomKey(Buffer.from(core.randomBytes(4)).readUInt32LE(0)));
  }

  async enrol({ name, publicKey, baseModelHashes, capability }: ClientInfo): Promise<ClientId> {
    const { registry, presence, clock, hooks } = this.#core;
    const clientId = `c-${createHash("sha256").update(publicKey).digest("hex").slice(0, 32)}` as ClientId;
    const key = Buffer.from(publicKey).toString("hex");
    const facts = { clientId, name, publicKey: key, baseModelHashes, capability };
    await registry.commit((state) => {
      const known = state.clients.get(clientId);
      const isSame =
        known !== undefined &&
        JSON.stringify([known.name, known.baseModelHashes, known.capability]) ===
          JSON.stringify([name, baseModelHashes, capability]);
      return isSame ? [] : [{ type: "client-enrolled" as const, atMs: clock.now(), ...facts }];
    });
    const told = this.#told.get(clientId);
    if (told !== undefined) this.#told.set(clientId, { ...told, isKnown: true });
    presence.introduce({ clientId, baseModelHashes, capability, runId: undefined });
    presence.arrivals.notify();
    hooks.onEnrolled?.(registry.durable.clients.size);
    return clientId;
  }

  async poll(
    clientId: ClientId,
    request: Parameters<ClientService["poll"]>[1],
    signal: AbortSignal,
  ): Promise<PollAnswer> {
    const { presence, clock } = this.#core;
    const client = this.#introduce(clientId, request);
    const { wakeup, leave } = presence.enter(clientId);
    const untilMs = clock.monotonicMs() + request.waitMs;
    try {
      for (;;) {
        const { version } = wakeup;
        const answer = await this.#answer(client);
        if (answer !== undefined) return answer;
        const leftMs = untilMs - clock.monotonicMs();
        if (leftMs <= 0 || this.#core.isDraining) return this.#wait(client);
        await wakeup.wait(version, leftMs, signal);
      }
    } finally {
      leave();
    }
  }

  authorizeBlob(clientId: ClientId, id: BlobId): Promise<{ readonly size: number }> {
    const client = this.#known(clientId);
    for (const state of this.#core.states()) {
      const ref = readableBlobs(state, client).find((each) => each.id === id);
      if (ref !== undefined) return Promise.resolve({ size: ref.size });
    }
    return Promise.reject(
      new FedLoraError("blob-not-found", `blob ${id} does not exist or is not meant for this client`, {
        details: { blobId: id },
      }),
    );
  }

  async ticket(clientId: ClientId, planId: PlanId): Promise<UploadTicket> {
    const driver = await this.#heardOf(clientId, planId);
    const { state, runId } = driver;
    const { task } = state.spec;
    const found = findPlan(state, clientId, planId);
    if (!("plan" in found)) {
      const { round, sequence, blobId } = found.past;
      if (sequence === null) throw roundClosed(state, planId);
      const accepted = this.#receipt({ planId, runId, round, clientId, blobId, sequence });
      return { runId, round, planId, task, ...noUpdate, frozen: [], maxBytes: 0, maxNorm: undefined, accepted };
    }
    const { plan } = found;
    const { acceptance } = plan;
    if (acceptance === null && !isAnswerable(state, plan)) throw roundClosed(state, planId);
    const { round } = plan;
    return {
      runId,
      round,
      planId,
      task,
      ...(plan.kind === "train" ? await this.#formOf(plan) : noUpdate),
      frozen: plan.frozen.map(({ id }) => id),
      maxBytes: plan.uploadBytes,
      maxNorm: plan.maxNorm ?? undefined,
      accepted:
        acceptance === null
          ? undefined
          : this.#receipt({
              planId,
              runId,
              round,
              clientId,
              blobId: acceptance.blobId,
              sequence: acceptance.sequence,
            }),
    };
  }

  async accept(
    clientId: ClientId,
    planId: PlanId,
    update: { blobId: BlobId; bytes: number; updateNorm: number; metrics: UpdateMetrics },
  ): Promise<UpdateReceipt> {
    const driver = await this.#heardOf(clientId, planId);
    const { spec } = driver.state;
    const base = updateWeight(spec.weighting, update.metrics.numExamples);
    const kept = {
      ...update,
      metrics: keptMetrics(spec, update.metrics),
      updateNorm: spec.privacy.mode === "client" ? null : update.updateNorm,
    };
    const decide = (state: RunMachineState, atMs: number): AcceptDecision => {
      const weight = base * (livePlan(state, planId)?.weightFactor ?? 1);
      return decideAcceptance(state, clientId, planId, { ...kept, weight }, atMs);
    };
    const receipt = await this.#core.keeper.whilePresent(update.blobId, () =>
      this.#accept(driver, clientId, planId, decide),
    );
    if (receipt !== undefined) return receipt;
    // The bytes are gone, as they are after the round's commit: the plan still knows whether they counted.
    const earlier = decide(driver.state, this.#core.clock.now());
    if (earlier.kind === "accepted-before") return this.#accept(driver, clientId, planId, decide);
    throw new FedLoraError("upload-not-found", `blob ${update.blobId} of plan ${planId} is not stored`);
  }

  async acceptEvaluation(clientId: ClientId, planId: PlanId, metrics: UpdateMetrics): Promise<UpdateReceipt> {
    const driver = await this.#heardOf(clientId, planId);
    return this.#accept(driver, clientId, planId, (state, atMs) =>
      decideEvaluationAcceptance(state, clientId, planId, keptMetrics(state.spec, metrics), atMs),
    );
  }

  async refuse(clientId: ClientId, planId: PlanId, code: ErrorCode, message: string): Promise<void> {
    const driver = await this.#heardOf(clientId, planId);
    const { clock, hooks } = this.#core;
    await driver.commit((state) => decideRefusal(state, clientId, planId, code, message, clock.now()));
    hooks.onUpdateRefused?.(driver.runId, code);
  }

  async decline(clientId: ClientId, planId: PlanId, code: string, reason: string): Promise<void> {
    const driver = this.#core.runOfPlan(planId);
    this.#core.presence.touch(clientId);
    await driver.commit((state) => decideDecline(state, clientId, planId, code, reason, this.#core.clock.now()));
  }

  async report(
    clientId: ClientId,
    planId: PlanId,
    progress: Parameters<ClientService["report"]>[2],
  ): ReturnType<ClientService["report"]> {
    const driver = await this.#heardOf(clientId, planId);
    const { presence, feed, clock } = this.#core;
    const { state } = driver;
    const { stage, step, totalSteps, loss, capability } = progress;
    const present = presence.get(clientId);
    if (capability !== undefined && present !== undefined) presence.introduce({ ...present, capability });
    const plan = livePlan(state, planId);
    const planOpen = plan !== undefined && isAnswerable(state, plan);
    if (planOpen) {
      const isShown = Number.isFinite(loss) && state.spec.privacy.mode === "none";
      const data = { planId, stage, step, totalSteps, loss: isShown ? loss : null };
      const record = { sequence: 0, kind: "client-progress", round: state.round, clientId, atMs: clock.now(), data };
      feed.publishProgress(driver.runId, clientId, record);
    }
    return { planOpen, deadlineMs: planOpen ? deadlineMs(driver) : 0 };
  }

  countBytes(planId: PlanId, direction: "up" | "down", bytes: number): void {
    const driver = this.#core.runs.get(planId.split(".")[0] as RunDriver["runId"]);
    const plan = driver === undefined ? undefined : livePlan(driver.state, planId);
    if (driver === undefined || plan === undefined) return;
    driver.meter.count(planId, direction, bytes);
    this.#core.presence.touch(plan.clientId);
    this.#core.hooks.onBytes?.(driver.runId, direction, bytes);
  }

  /** What the client gets now; undefined: it has to wait. */
  async #answer(client: PresentClient): Promise<PollAnswer | undefined> {
    const { clientId } = client;
    for (const driver of this.#runsFor(client)) {
      const plan = answerablePlanOf(driver.state, clientId);
      if (plan === undefined) continue;
      await driver.commit((state) => decideReturn(state, plan.planId, this.#core.clock.now()));
      // It may have been closed meanwhile.
      const open = answerablePlanOf(driver.state, clientId);
      if (open !== undefined) return { kind: "plan", plan: toRoundPlan(driver, open) };
    }
    return this.#ended(client);
  }

  /**
   * A client that named a run is told its end. One that takes any run is told the end of the latest it had a plan of when no
   * running one is left for it: once, that is until it enrols again, which shows that it heard.
   */
  #ended(client: PresentClient): PollAnswer | undefined {
    const { clientId, runId } = client;
    // A run that this build cannot work on may go on with the next one: its clients wait.
    if (runId !== undefined) return toEnded((this.#core.unavailable.get(runId) ?? this.#core.run(runId)).state);
    const drivers = this.#runsFor(client);
    if (drivers.some(({ state }) => state.status === "running")) return undefined;
    const latest = drivers
      .filter(({ state }) => state.participants[clientId] !== undefined)
      .sort((a, b) => b.state.phaseSinceMs - a.state.phaseSinceMs)[0];
    const told = this.#told.get(clientId);
    if (latest === undefined) return undefined;
    // A run that was resumed ends another time.
    const key = `${latest.runId}:${latest.state.attempt}`;
    if (told?.key === key && told.isKnown) return undefined;
    this.#told.set(clientId, { key, isKnown: false });
    return toEnded(latest.state);
  }

  #wait(client: PresentClient): PollAnswer {
    const { tuning, isDraining } = this.#core;
    const middle = isDraining ? 4 * tuning.retryMs : tuning.retryMs;
    const retryAfterMs = Math.round(middle * (0.5 + this.#jitter.uniform()));
    const running = this.#runsFor(client).filter(({ state }) => state.status === "running");
    const reason = isDraining
      ? "draining"
      : running.length === 0
        ? "no-run"
        : running.some(({ state }) => state.phase === "training")
          ? "round-full"
          : "between-rounds";
    return { kind: "wait", retryAfterMs, reason };
  }

  #runsFor({ runId, baseModelHashes }: PresentClient): RunDriver[] {
    if (runId !== undefined && this.#core.unavailable.has(runId)) return [];
    const drivers = runId === undefined ? [...this.#core.runs.values()] : [this.#core.run(runId)];
    const fitting = drivers.filter(({ context }) => baseModelHashes.includes(context.manifest.hash));
    const [named] = drivers;
    if (runId !== undefined && fitting.length === 0 && named !== undefined) throw otherModel(named, baseModelHashes);
    return fitting;
  }

  #introduce(clientId: ClientId, request: Parameters<ClientService["poll"]>[1]): PresentClient {
    const known = this.#known(clientId);
    const client: PresentClient = {
      clientId,
      baseModelHashes: request.baseModelHashes.length === 0 ? known.baseModelHashes : request.baseModelHashes,
      capability: request.capability ?? known.capability,
      runId: request.runId,
    };
    this.#core.presence.introduce(client);
    return client;
  }

  /** What the client said last. Throws `unauthenticated`. */
  #known(clientId: ClientId): PresentClient {
    const present = this.#core.presence.get(clientId);
    if (present !== undefined) return present;
    const enrolled = this.#core.registry.durable.clients.get(clientId);
    if (enrolled === undefined) throw new FedLoraError("unauthenticated", `client ${clientId} is not enrolled`);
    const { baseModelHashes, capability } = enrolled;
    return { clientId, baseModelHashes, capability, runId: undefined };
  }

  /** The run of a plan whose client was just heard of; gives the client its slot back if it had lost it. */
  async #heardOf(clientId: ClientId, planId: PlanId): Promise<RunDriver> {
    const driver = this.#core.runOfPlan(planId);
    findPlan(driver.decided, clientId, planId);
    this.#core.presence.touch(clientId);
    const isDropped = livePlan(driver.decided, planId)?.status === "dropped";
    if (isDropped) await driver.commit((state) => decideReturn(state, planId, this.#core.clock.now()));
    return driver;
  }

  async #accept(
    driver: RunDriver,
    clientId: ClientId,
    planId: PlanId,
    decide: (state: RunMachineState, atMs: number) => AcceptDecision,
  ): Promise<UpdateReceipt> {
    const { runId } = driver;
    const decided: { before?: Extract<AcceptDecision, { kind: "accepted-before" }>; round: number } = { round: 0 };
    const { events } = await driver.commit((state): readonly RunEvent[] => {
      const decision = decide(state, this.#core.clock.now());
      decided.round = livePlan(state, planId)?.round ?? state.round;
      if (decision.kind === "accept") return decision.events;
      decided.before = decision;
      return [];
    });
    if (decided.before !== undefined) {
      const { sequence, blobId, round } = decided.before;
      return this.#receipt({ planId, runId, round, clientId, blobId, sequence });
    }
    const [accepted] = events;
    if (accepted === undefined) throw new FedLoraError("internal", `plan ${planId} was accepted without an event`);
    const blobId = accepted.type === "update-accepted" ? accepted.blobId : "";
    return this.#receipt({ planId, runId, round: decided.round, clientId, blobId, sequence: accepted.sequence });
  }

  #receipt(receipt: Omit<UpdateReceipt, "signature">): UpdateReceipt {
    return { ...receipt, signature: this.#sign(receiptBytes(receipt)) };
  }

  async #formOf({ instructions }: PlanState): Promise<UpdateForm> {
    const known = this.#layouts.get(instructions.id);
    if (known !== undefined) return known;
    const form = await readUpdateForm(this.#core.storage.blobs, instructions);
    const [oldest] = this.#layouts.keys();
    if (this.#layouts.size >= maxCachedLayouts && oldest !== undefined) this.#layouts.delete(oldest);
    this.#layouts.set(instructions.id, form);
    return form;
  }
}

/** Blobs of the client's plans of this stage, and the result of a run that ended, for those who hold the base model. */
function readableBlobs(state: RunMachineState, client: PresentClient): readonly BlobRef[] {
  const ofPlans = livePlans(state)
    .filter(({ clientId }) => clientId === client.clientId)
    .flatMap(({ instructions, download, frozen }) => [
      ...[instructions, download, ...frozen],
      ...state.baseDeltas.map(({ blob }) => blob),
    ]);
  const isMember = client.baseModelHashes.some((hash) => hash === state.spec.model.hash);
  const final = state.status === "running" || !isMember ? undefined : finalAdapter(state);
  if (final === undefined) return ofPlans;
  return [...ofPlans, final.globalAdapter, final.instructions, ...final.baseDeltas.map(({ blob }) => blob)];
}

function toRoundPlan(driver: RunDriver, plan: PlanState): RoundPlan {
  const { state, context, runId } = driver;
  const { planId, kind, instructions, download, frozen, uploadBytes } = plan;
  const { name, version } = context.method.definition;
  const deltas = state.baseDeltas.map(({ blob }) => blob);
  return {
    planId,
    runId,
    round: plan.round,
    kind,
    method: { name, version },
    baseModelHash: context.manifest.hash,
    baseVersion: state.baseVersion,
    instructions: instructions.id,
    globalAdapter: download.id,
    frozen: frozen.map(({ id }) => id),
    baseDeltas: state.baseDeltas.map(({ fromVersion, toVersion, blob }) => ({ fromVersion, toVersion, blob: blob.id })),
    deadlineMs: deadlineMs(driver),
    downloadBytes: [instructions, download, ...frozen, ...deltas].reduce((sum, { size }) => sum + size, 0),
    uploadBytes,
  };
}

function deadlineMs(driver: RunDriver): number {
  const { roundMs, evaluationMs } = driver.state.spec.deadlines;
  const fullMs = driver.state.phase === "evaluating" ? evaluationMs : roundMs;
  return Math.max(1, Math.round(driver.untilDeadline(fullMs)));
}

function toEnded(state: RunMachineState): PollAnswer | undefined {
  if (state.status === "running") return undefined;
  const final = finalAdapter(state);
  return {
    kind: "ended",
    runId: state.runId,
    state: state.status,
    globalAdapter: final?.globalAdapter,
    instructions: final?.instructions,
    ...(final === undefined || final.baseDeltas.length === 0 ? {} : { baseDeltas: final.baseDeltas }),
  };
}

/** A client that names a run must not wait for ever for a plan that cannot come. */
function otherModel({ runId, context }: RunDriver, held: readonly string[]): FedLoraError {
  const { hash, name } = context.manifest;
  const message = `run "${runId}" trains base model ${hash} (${name}), this client holds ${held.join(", ") || "none"}`;
  return new FedLoraError("model-hash-mismatch", message, { details: { runId, expected: hash } });
}
