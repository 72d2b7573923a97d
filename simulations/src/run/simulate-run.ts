import { builtinMethods, findMethod, type MethodDefinition } from "@fedlora/aggregators";
import type { BaseDelta } from "@fedlora/client-sdk";
import type { CoordinatorHooks } from "@fedlora/coordinator";
import {
  FedLoraError,
  isErrorCode,
  deriveKey,
  readSafetensors,
  type ErrorCode,
  type ModelManifest,
  type RunId,
  type RunSpec,
} from "@fedlora/core";
import { makeProcessFolder } from "@fedlora/core/node";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { SimulationData } from "../data/simulation-data.js";
import { openAvailability } from "../device/availability.js";
import { DeviceFleet } from "../device/profile.js";
import { StepDepth, type TrainedPart } from "../device/step-depth.js";
import { Behaviours } from "../faults/behaviour.js";
import { Population } from "../population/population.js";
import { BlobPool } from "../runtime/blob-pool.js";
import { KeptStore } from "../runtime/kept-store.js";
import { openCoordinator, type SimulatedCoordinator } from "../runtime/open-coordinator.js";
import type { Room } from "../runtime/room.js";
import { VirtualClock } from "../runtime/virtual-clock.js";
import { assertCohort } from "../scenario/check-scenario.js";
import type { Scenario } from "../scenario/scenario-schema.js";
import { GlobalTest } from "./global-test.js";
import type { RoundRow, RunPrivacy, RunResult } from "./round-row.js";
import { RunLog } from "./run-log.js";
import { sharedOut } from "./shared-out.js";

/**
 * Of declined plans, what is wrong with the simulation and not with a client: a worker that died, a model that cannot do what
 * the run asks. The others would decline as well, and the run would wait for a cohort that cannot come.
 */
const brokenCodes: ReadonlySet<ErrorCode> = new Set([
  "internal",
  "engine-failed",
  "engine-memory",
  "engine-unavailable",
  "model-unsupported",
  "artifact-invalid",
  "request-invalid",
  "directive-unknown",
  "data-invalid",
]);

/** Populations up to this size are there as a whole. */
const wholeUpTo = 1000;

export interface SimulateRunOptions {
  readonly scenario: Scenario;
  /** Where relative paths of the scenario begin. */
  readonly folder: string;
  readonly variant: string;
  readonly seed: number;
  readonly spec: RunSpec;
  readonly manifest: ModelManifest;
  readonly data: SimulationData;
  readonly room: Room;
  readonly signal: AbortSignal;
  readonly onRound?: (row: RoundRow) => void;
}

/**
 * One run of one variant with one seed: the coordinator's own state machine and the SDK's own client on virtual time. The
 * same options give the same result, bit for bit, whatever the number of workers and the speed of the machine; `wallMs` alone
 * is of this machine.
 */
export async function simulateRun(options: SimulateRunOptions): Promise<RunResult> {
  const begin = performance.now();
  const folder = await makeProcessFolder("fedlora-simulation");
  try {
    const result = await run(options, folder);
    return { ...result, wallMs: performance.now() - begin };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function run(options: SimulateRunOptions, workFolder: string): Promise<Omit<RunResult, "wallMs">> {
  const { scenario, variant, seed, spec, manifest, data, room, signal } = options;
  const clock = new VirtualClock();
  const { key, test, partition, clientsKey } = sharedOut(scenario, data, seed);
  assertCohort(spec.cohort.size, partition.clients);
  const depth = new StepDepth(spec, manifest);
  const batchTokens = spec.training.batchSize * spec.task.maxTokens;
  const fleet = new DeviceFleet(scenario.devices, deriveKey(key, "devices"), room.engine, { batchTokens, depth });
  const log = new RunLog(
    variant,
    seed,
    spec.task,
    () => clock.elapsedMs,
    (client) => fleet.classOf(client),
  );
  const { every } = spec.evaluation;
  const isEvaluated = (round: number): boolean => every > 0 && (round % every === 0 || round === spec.rounds);
  // A personal method has no model that all share.
  const isTestable = test.length > 0 && !capabilitiesOf(spec).personal;
  const tests = isTestable ? new GlobalTest(room, spec, manifest, data, test) : undefined;
  const state: { isOver: boolean; failure: FedLoraError | undefined } = { isOver: false, failure: undefined };
  const fail = (error: unknown): void => {
    state.failure ??= FedLoraError.from(error);
  };

  const running: { coordinator?: SimulatedCoordinator; population?: Population } = {};
  const finish = (round: number): void => {
    const row = log.finish(round);
    if (row !== undefined) options.onRound?.(row);
    running.population?.onRoundOver();
  };
  const hooks: CoordinatorHooks = {
    onRoundStarted: () => running.population?.onRoundStarted(),
    onRoundClosed: () => running.population?.onRoundClosed(),
    onRoundCommitted: (id, summary) => {
      log.summary(summary);
      const { round } = summary;
      const isTested =
        tests !== undefined && scenario.testEvery > 0 && (round % scenario.testEvery === 0 || round === spec.rounds);
      const work = async (): Promise<void> => {
        const { coordinator } = running;
        if (isTested && coordinator !== undefined) {
          const { blobs } = coordinator.storage;
          const adapter = await blobs.read(summary.adapterBlobId, 0, await blobs.size(summary.adapterBlobId));
          log.tested(round, await tests.measure(adapter, await baseDeltasOf(coordinator, id, summary.round, spec)));
        }
        if (!isEvaluated(round)) finish(round);
      };
      void clock.hold(work).catch(fail);
    },
    onRoundEvaluated: (_, summary) => {
      log.summary(summary);
      finish(summary.round);
    },
    onUpdateRefused: (_, code) => log.refused(code),
    onRunState: (_, status) => {
      if (status === "running") return;
      state.isOver = true;
      running.population?.close();
    },
  };
  const coordinator = (running.coordinator = await openCoordinator(
    clock,
    deriveKey(key, "coordinator"),
    hooks,
    workFolder,
  ));
  const { service } = coordinator;
  await service.admin.registerModel(manifest);
  const detail = await service.admin.createRun(`${scenario.name} ${seed}`, spec);
  const { runId } = detail.summary;
  const world = {
    key: clientsKey,
    clock,
    coordinator,
    runId,
    baseModelHash: manifest.hash,
    room,
    data,
    partition,
    heldOutShare: scenario.data.heldOut,
    fleet,
    dropout: scenario.devices.dropout,
    behaviours: new Behaviours(scenario.misbehaviour, deriveKey(key, "misbehaviour"), partition.clients),
    pool: new BlobPool(workFolder),
    kept: new KeptStore(join(workFolder, "kept")),
    // Often enough not to pass for silent.
    reportIntervalMs: Math.max(1, spec.deadlines.silenceMs / 3),
    depth,
    onTraining: (client: number, round: number, part: TrainedPart) => log.training(client, round, part),
  };
  const wanted = Math.ceil(spec.cohort.size * spec.cohort.overSelection);
  const spares = Math.max(1, Math.ceil(wanted / 4));
  const population = (running.population = new Population(world, {
    waiting: waitingOf(scenario, partition.clients, wanted + spares),
    spares,
    availability: await openAvailability(scenario.devices, deriveKey(key, "availability"), options.folder),
    isByRound: spec.policy.kind === "synchronous",
    isEvaluated,
    onEvent: (client, event) => {
      log.clientEvent(client, event);
      if (event.type !== "declined" || !isErrorCode(event.code) || !brokenCodes.has(event.code)) return;
      fail(new FedLoraError(event.code, `${partition.nameOf(client)} cannot train: ${event.reason}`));
    },
    onFailure: fail,
  }));
  population.start();
  try {
    await clock.run(() => {
      signal.throwIfAborted();
      if (state.failure !== undefined) throw state.failure;
      return state.isOver && population.isEmpty;
    });
  } finally {
    population.close();
    await service.close();
  }
  const { summary } = await service.admin.getRun(runId);
  const privacy = await service.admin.privacy(runId);
  const rows = log.rows();
  return {
    variant,
    seed,
    method: spec.method.name,
    state: summary.state === "running" ? "stopped" : summary.state,
    reason: summary.state === "completed" ? "" : summary.reason,
    rounds: withEpsilons(rows, privacy),
    finalHash: rows.at(-1)?.adapter ?? "",
    virtualMs: clock.elapsedMs,
    refusals: log.refusals,
    declines: log.declines,
    trainings: log.trainings,
    privacy: toRunPrivacy(privacy),
    classes: log.classes,
  };
}

type PrivacyReport = Awaited<ReturnType<SimulatedCoordinator["service"]["admin"]["privacy"]>>;

/** The coordinator accounts for a round when it is committed, which is before its row is written. */
function withEpsilons(rows: readonly RoundRow[], report: PrivacyReport): readonly RoundRow[] {
  if (report.mode === "none") return rows;
  const spent = new Map(report.rounds.map(({ round, epsilon }) => [round, epsilon]));
  // What a client tells of itself in a private run is mostly noise: only sums over clients say something.
  return rows.map((row) => ({ ...row, epsilon: spent.get(row.round), perClient: undefined }));
}

function toRunPrivacy(report: PrivacyReport): RunPrivacy | undefined {
  if (report.mode === "none") return undefined;
  const { epsilonSpent: epsilon, delta, noiseMultiplier } = report.account;
  return { mode: report.mode, epsilon, delta, noiseMultiplier };
}

/** Changes of the base weights that the round's adapter counts on, as tensors. */
async function baseDeltasOf(
  { service, storage }: SimulatedCoordinator,
  runId: RunId,
  round: number,
  spec: RunSpec,
): Promise<readonly BaseDelta[]> {
  if (!capabilitiesOf(spec).editsBase) return [];
  const { baseDeltas } = await service.admin.exportAdapter(runId, round, "merged");
  const { blobs } = storage;
  return Promise.all(
    baseDeltas.map(async ({ blob }) => {
      return { id: blob.id, source: readSafetensors(await blobs.read(blob.id, 0, blob.size)).tensors };
    }),
  );
}

function capabilitiesOf({ method }: RunSpec): MethodDefinition["capabilities"] {
  return findMethod(builtinMethods, method.name).capabilities;
}

function waitingOf({ devices }: Scenario, clients: number, usual: number): number {
  const { waiting } = devices;
  if (waiting === "all" || (waiting === undefined && clients <= wholeUpTo)) return clients;
  return waiting ?? usual;
}
