import { createHash } from "node:crypto";
import {
  FedLoraError,
  canonicalBytes,
  canonicalJson,
  compileRunSpec,
  parseModelManifest,
  readSafetensors,
  toPeftConfig,
  writeSafetensors,
} from "@fedlora/core";
import type { BaseModelHash, ModelManifest, RunId, RunSpec, StateDict } from "@fedlora/core";

import { withNoiseAdvice } from "../privacy/noise-advice.js";
import { learnCosts } from "../privacy/pay.js";
import { privacyReport } from "../privacy/privacy-report.js";
import { privacyWarnings } from "../privacy/settle-noise.js";
import type { AdminService, RunDetail, RunEventRecord, RunSummary } from "../service.js";
import type { CoordinatorCore } from "./coordinator-core.js";
import { baseChainTo } from "./base-chain.js";
import { decideResume, decideStop } from "./decide-round.js";
import { assertExportForm } from "./export-forms.js";
import { makeStart } from "./make-start.js";
import { loadMethodState, readBlob } from "./plan-factory.js";
import { createRunContext } from "./run-context.js";
import type { RunDriver } from "./run-driver.js";
import type { BlobRef } from "./run-events.js";
import type { RoundRecord, RunMachineState } from "./run-state.js";
import { toRunDetail, toRunSummary } from "./run-views.js";
import { unavailableDetail } from "./unavailable-run.js";

/** The operator's side of the coordinator. */
export class CoordinatorAdminService implements AdminService {
  readonly #core: CoordinatorCore;
  /** Runs are created one after the other, or one key could make two. */
  #creation: Promise<unknown> = Promise.resolve();

  constructor(core: CoordinatorCore) {
    this.#core = core;
  }

  async registerModel(value: ModelManifest): Promise<BaseModelHash> {
    const { registry, keeper, clock } = this.#core;
    const manifest = parseModelManifest(value);
    const { hash } = manifest;
    const ref = await keeper.put(canonicalBytes(manifest));
    try {
      await registry.commit((state) => {
        if (state.models[hash]?.id === ref.id) return [];
        return [{ type: "model-registered" as const, atMs: clock.now(), hash, manifest: ref }];
      });
    } finally {
      keeper.unpin([ref.id]);
    }
    return hash;
  }

  async createRun(idempotencyKey: string, spec: RunSpec): Promise<RunDetail> {
    const creation = this.#creation.then(
      () => this.#createRun(idempotencyKey, spec),
      () => this.#createRun(idempotencyKey, spec),
    );
    this.#creation = creation.catch(() => undefined);
    return this.getRun(await creation);
  }

  listRuns(): Promise<readonly RunSummary[]> {
    const { runs, unavailable } = this.#core;
    const others = [...unavailable.values()].map((run) => unavailableDetail(run).summary);
    return Promise.resolve([...[...runs.values()].map(({ state, note }) => toRunSummary(state, note)), ...others]);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async getRun(runId: RunId): Promise<RunDetail> {
    const unavailable = this.#core.unavailable.get(runId);
    if (unavailable !== undefined) return unavailableDetail(unavailable);
    return detailOf(this.#core.run(runId));
  }

  async stopRun(runId: RunId, reason: string, idempotencyKey: string): Promise<RunDetail> {
    const driver = this.#core.run(runId);
    await driver.commit((state) => decideStop(state, idempotencyKey, reason, this.#core.clock.now()));
    return detailOf(driver);
  }

  async resumeRun(runId: RunId, idempotencyKey: string): Promise<RunDetail> {
    const driver = this.#core.run(runId);
    await driver.commit((state) => decideResume(state, idempotencyKey, this.#core.clock.now()));
    return detailOf(driver);
  }

  watch(runId: RunId, afterSequence: number, signal: AbortSignal): AsyncIterable<RunEventRecord> {
    const { feed, unavailable } = this.#core;
    if (unavailable.has(runId)) return feed.watch(runId, afterSequence, () => true, signal);
    const driver = this.#core.run(runId);
    return feed.watch(runId, afterSequence, () => driver.state.status !== "running", signal);
  }

  async exportAdapter(runId: RunId, round: number, form: string): ReturnType<AdminService["exportAdapter"]> {
    const { state, context } = this.#core.run(runId);
    const wanted = round === 0 ? state.bestRound || (state.rounds.at(-1)?.round ?? 0) : round;
    const record = state.rounds.find((each) => each.round === wanted);
    if (record === undefined) {
      const message =
        state.rounds.length === 0
          ? `run ${runId} has no committed round yet`
          : `run ${runId} has no committed round ${wanted}; it has ${state.rounds.length}`;
      throw new FedLoraError("export-refused", message, { details: { runId, round: String(wanted) } });
    }
    const methodState = await loadMethodState(this.#core.storage.blobs, context, state);
    assertExportForm(runId, form === "" ? "peft" : form, record.baseVersion, context.method, methodState);
    const baseDeltas = baseChainTo(state, record.baseVersion);
    if (baseDeltas === undefined) throw baseIsGone(state, wanted);
    const { spec, adapter, manifest, method } = context;
    const plainSpec = { ...spec.adapter, variant: "lora" as const };
    const adapterConfig = { ...toPeftConfig(plainSpec, { ...adapter, variant: "lora" }, spec.task, manifest.name) };
    const plain = method.toPlainLora?.bind(method);
    return {
      adapter: plain === undefined ? record.adapter : await this.#storePlain(record, (it) => plain(it, methodState)),
      adapterConfig,
      round: wanted,
      baseDeltas,
    };
  }

  /** Kept until the coordinator ends: whoever asked has yet to fetch it. */
  async #storePlain({ adapter }: RoundRecord, convert: (global: StateDict) => StateDict): Promise<BlobRef> {
    const { tensors } = readSafetensors(await readBlob(this.#core.storage.blobs, adapter));
    return this.#core.keeper.put(writeSafetensors(convert(tensors)));
  }

  /** Of a run that this build cannot work on too: what it spent is no less. */
  async privacy(runId: RunId): ReturnType<AdminService["privacy"]> {
    const unavailable = this.#core.unavailable.get(runId);
    if (unavailable !== undefined) return privacyReport(unavailable.state);
    const driver = this.#core.run(runId);
    await learnCosts(driver);
    const { state, account, context } = driver;
    return withNoiseAdvice(privacyReport(state, account), context.spec, context.manifest);
  }

  async *audit(runId: RunId, afterSequence: number): ReturnType<AdminService["audit"]> {
    this.#assertKnown(runId);
    for await (const { sequence, event } of this.#core.storage.journal.read(afterSequence)) {
      if (event.runId === runId) yield { sequence, fact: event };
    }
  }

  async #createRun(idempotencyKey: string, input: RunSpec): Promise<RunId> {
    const { clock, keeper, methods } = this.#core;
    const manifest = await this.#core.loadManifest(compileRunSpec(input).model.hash as BaseModelHash);
    const spec = compileRunSpec(input, { manifest });
    const existing = this.#core.states().find(({ createKey }) => createKey === idempotencyKey);
    if (existing !== undefined) {
      if (canonicalJson(existing.spec) === canonicalJson(spec)) return existing.runId;
      throw new FedLoraError("run-exists", `the idempotency key was used for run ${existing.runId} with another spec`, {
        details: { runId: existing.runId },
      });
    }
    if (this.#core.isDraining) throw new FedLoraError("unavailable", "the coordinator is draining");
    const context = createRunContext(spec, manifest, methods);
    const noise = await this.#core.accounting.noise(spec);
    for (const warning of privacyWarnings(spec)) this.#core.logger.warn({ name: spec.name }, warning);
    const start = await makeStart(this.#core.storage.blobs, keeper, context);
    try {
      const runId = this.#newRunId(spec.name, idempotencyKey);
      const event = {
        type: "run-created" as const,
        runId,
        round: 0,
        atMs: clock.now(),
        idempotencyKey,
        spec,
        ...start,
        ...(noise === undefined ? {} : { privacy: noise }),
      };
      return (await this.#core.addRun(event, manifest)).runId;
    } finally {
      keeper.unpin(
        [start.adapter, ...(start.baseDelta === undefined ? [] : [start.baseDelta.blob])].map(({ id }) => id),
      );
    }
  }

  /** From the idempotency key, so that the same request in a new storage folder is the same run, random streams included. */
  #newRunId(name: string, idempotencyKey: string): RunId {
    for (let attempt = 0; ; attempt++) {
      const suffix = createHash("sha256").update(`${idempotencyKey}:${attempt}`).digest("hex").slice(0, 6);
      const runId = `${name}-${suffix}` as RunId;
      if (!this.#core.runs.has(runId) && !this.#core.unavailable.has(runId)) return runId;
    }
  }

  /** Throws `run-not-found`. */
  #assertKnown(runId: RunId): void {
    if (!this.#core.unavailable.has(runId)) this.#core.run(runId);
  }
}

/** The changes of the base weights up to there are parts of one by now. */
function baseIsGone(state: RunMachineState, round: number): FedLoraError {
  const rounds = state.rounds.filter(({ baseVersion }) => baseChainTo(state, baseVersion) !== undefined);
  const kept = rounds.map((each) => each.round).join(", ");
  const message =
    `run ${state.runId}: the base weights of round ${round} can no longer be told from those of later rounds; ` +
    `rounds that can be exported: ${kept}`;
  return new FedLoraError("export-refused", message, { details: { runId: state.runId, round: String(round) } });
}

function detailOf({ state, note }: RunDriver): RunDetail {
  return toRunDetail(state, note);
}
