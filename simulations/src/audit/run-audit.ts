import type { Example, LocalTrainer } from "@fedlora/client-sdk";
import { createAccountant, FedLoraError, randomKey, RandomStream } from "@fedlora/core";
import type { ModelManifest, PlanPrivacy, PrivacyEvent, RunSpec } from "@fedlora/core";
import { createAuditTask } from "./audit-task.js";
import { attackMembership, directionsOf } from "./membership.js";
import { attackSize } from "./size-attack.js";

export interface AuditSetting {
  readonly name: string;
  readonly privacy: PlanPrivacy | undefined;
}

/** How much is tried. */
export interface AuditScale {
  /** Examples whose membership is guessed. */
  readonly candidates: number;
  /** Attacked runs for each setting. */
  readonly runs: number;
  /** Shadow clients of the attack on the size of the data set. */
  readonly clients: number;
  /** Examples of the smallest and of the largest of them. */
  readonly sizes: readonly [number, number];
}

export const usualScale: AuditScale = { candidates: 100, runs: 4, clients: 24, sizes: [8, 128] };

export interface AuditOptions {
  readonly trainer: LocalTrainer;
  readonly manifest: ModelManifest;
  /** Method, adapter and local training are this run's; its first round is audited. */
  readonly spec: RunSpec;
  readonly settings: readonly AuditSetting[];
  /** Examples to make clients of; the seed shuffles them, and each is used in one place. */
  readonly examples: readonly Example[];
  readonly scale?: AuditScale;
  readonly seed: number;
  readonly signal: AbortSignal;
  /** @param share of the work in the stage that is done, 0 to 1 */
  readonly onProgress?: (setting: string, share: number, what: string) => void;
}

/** What one upload of a round leaks in one setting. */
export interface AuditRow {
  readonly name: string;
  /** What the accountant proves of the audited round, with `delta`; null: nothing. */
  readonly epsilon: number | null;
  readonly delta: number | null;
  /** Membership attack: area under its curve, and share of members found at 1 % false positives. */
  readonly auc: number;
  readonly truePositiveRate: number;
  /** What the attack proves: epsilon is no smaller, with 95 % confidence. */
  readonly epsilonAtLeast: number;
  /** Size attack: mean absolute error in powers of two, and that of a guess. */
  readonly sizeError: number;
  readonly sizeErrorOfGuess: number;
}

/**
 * Attacks one client's upload of a run's first round in several settings: whose example was there, and how many there were.
 *
 * @throws FedLoraError `data-empty` where there are too few examples for the scale, `cancelled`, and what training throws
 */
export async function runAudit(options: AuditOptions): Promise<readonly AuditRow[]> {
  const { trainer, manifest, spec, settings, signal, seed, scale = usualScale } = options;
  const onProgress = options.onProgress ?? (() => undefined);
  const task = createAuditTask(trainer, spec, manifest, seed);
  const { candidates, dataSets } = divide(new RandomStream(randomKey(seed)).shuffle([...options.examples]), scale);
  const directions = await directionsOf(task, candidates, signal, (done) =>
    onProgress("candidates", done / candidates.length, `gradient ${done}/${candidates.length}`),
  );
  const rows: AuditRow[] = [];
  for (const { name, privacy } of settings) {
    // The same coins and data sets in every setting, so that rows differ by the setting alone.
    const random = new RandomStream(randomKey(seed));
    const uploads = scale.runs + 1 + dataSets.length;
    const membership = await attackMembership(
      {
        ...{ task, candidates, directions, others: [], privacy, runs: scale.runs, random },
        onRun: (run) => onProgress(name, run / uploads, `membership, run ${run}/${scale.runs + 1}`),
      },
      signal,
    );
    const size = await attackSize(
      {
        ...{ task, dataSets, privacy },
        onClient: (done) =>
          onProgress(name, (scale.runs + 1 + done) / uploads, `size, client ${done}/${dataSets.length}`),
      },
      signal,
    );
    rows.push({
      name,
      epsilon: promised(
        membership.uploads.map(({ events }) => events),
        privacy,
      ),
      delta: privacy?.delta ?? null,
      auc: membership.auc,
      truePositiveRate: membership.truePositiveRate,
      epsilonAtLeast: membership.epsilonAtLeast,
      sizeError: size.error,
      sizeErrorOfGuess: size.errorOfGuess,
    });
  }
  return rows;
}

/** The worst of the runs: their numbers of examples differ, and with them the sampling rates. */
function promised(runs: readonly (readonly PrivacyEvent[])[], privacy: PlanPrivacy | undefined): number | null {
  if (privacy === undefined) return null;
  const accountant = createAccountant("pld");
  const worst = Math.max(...runs.map((events) => accountant.epsilon(events, privacy.delta).epsilon));
  return Number.isFinite(worst) ? worst : null;
}

/** Sizes rise by a constant factor from the smallest to the largest. */
function divide(
  examples: readonly Example[],
  { candidates, clients, sizes: [smallest, largest] }: AuditScale,
): { readonly candidates: readonly Example[]; readonly dataSets: readonly (readonly Example[])[] } {
  const sizes = Array.from({ length: clients }, (_, index) =>
    Math.round(smallest * (largest / smallest) ** (index / Math.max(1, clients - 1))),
  );
  const needed = candidates + sizes.reduce((sum, size) => sum + size, 0);
  if (examples.length < needed) {
    throw new FedLoraError(
      "data-empty",
      `an audit of ${candidates} candidates and ${clients} clients of ${smallest} to ${largest} examples needs ${needed} examples, got ${examples.length}`,
    );
  }
  let at = candidates;
  const dataSets = sizes.map((size) => examples.slice(at, (at += size)));
  return { candidates: examples.slice(0, candidates), dataSets };
}
