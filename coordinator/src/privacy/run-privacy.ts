import type { ClientId, PlanKind, RunSpec } from "@fedlora/core";

import { noReleases } from "./privacy-terms.js";
import type { ReleaseCounts } from "./privacy-terms.js";

/** What a private run has to remember: the noise it was created with, where the clip norm is now, and its ledger. */
export interface RunPrivacy {
  readonly noiseMultiplier: number;
  /** Whether that was solved from budget and rounds rather than given. */
  readonly isNoiseSolved: boolean;
  /** Of the next round. */
  readonly clipNorm: number;
  /**
   * Releases by whose data they are of, those of plans that are out included: `everyone` for what the coordinator releases of a
   * cohort, a client's id for what that client does. One mechanism for each purpose, so counts are the whole ledger.
   */
  readonly spent: Readonly<Record<string, ReleaseCounts>>;
  /** The most that one unit had come to at the last commit or evaluation. */
  readonly settled: ReleaseCounts;
  /** Name of the secret that the noise of the round is expanded from; null: none was drawn, or it is erased. */
  readonly noiseKey: string | null;
}

/** What the journal says of a private run's noise. */
export type RunNoise = Pick<RunPrivacy, "noiseMultiplier" | "isNoiseSolved">;

const everyone = "*";

export function createRunPrivacy({ privacy }: RunSpec, noise: RunNoise | undefined): RunPrivacy | null {
  if (privacy.mode === "none" || noise === undefined) return null;
  return { ...noise, clipNorm: privacy.clipNorm, spent: {}, settled: noReleases, noiseKey: null };
}

/** Reserves what a round of clients' plans will cost, whether or not they are answered. */
export function reserveRound(privacy: RunPrivacy | null, { privacy: { mode } }: RunSpec): RunPrivacy | null {
  return privacy === null || mode !== "client" ? privacy : add(privacy, [everyone], "train", 1);
}

/** Reserves what plans cost the clients that they are issued to; in mode `client` the round pays for the training. */
export function reservePlans(
  privacy: RunPrivacy | null,
  spec: RunSpec,
  kind: PlanKind,
  clients: readonly ClientId[],
): RunPrivacy | null {
  if (privacy === null || !isPaidByPlan(spec, kind)) return privacy;
  return add(privacy, clients, kind, 1);
}

/** Gives a reservation back: the client said that it would not train. */
export function giveBack(
  privacy: RunPrivacy | null,
  spec: RunSpec,
  kind: PlanKind,
  clientId: ClientId,
): RunPrivacy | null {
  if (privacy === null || !isPaidByPlan(spec, kind)) return privacy;
  return add(privacy, [clientId], kind, -1);
}

/** Takes what was reserved for spent for good. */
export function settle(privacy: RunPrivacy): RunPrivacy {
  return { ...privacy, settled: exposure(privacy) };
}

/** The most that one unit has come to: clients' data are disjoint, so no unit pays for another client's releases. */
export function exposure({ spent }: RunPrivacy): ReleaseCounts {
  const shared = spent[everyone] ?? noReleases;
  let training = 0;
  let evaluation = 0;
  for (const [who, counts] of Object.entries(spent)) {
    if (who === everyone) continue;
    training = Math.max(training, counts.training);
    evaluation = Math.max(evaluation, counts.evaluation);
  }
  return { training: shared.training + training, evaluation: shared.evaluation + evaluation };
}

/** What one client has come to, or, without one, what every client has. */
export function exposureOf({ spent }: RunPrivacy, clientId?: string): ReleaseCounts {
  const shared = spent[everyone] ?? noReleases;
  const own = (clientId === undefined || clientId === everyone ? undefined : spent[clientId]) ?? noReleases;
  return { training: shared.training + own.training, evaluation: shared.evaluation + own.evaluation };
}

/** Whether each plan costs its client, rather than the round everybody. */
function isPaidByPlan({ privacy }: RunSpec, kind: PlanKind): boolean {
  return privacy.mode !== "client" || kind === "evaluate";
}

function add(privacy: RunPrivacy, who: readonly string[], kind: PlanKind, count: 1 | -1): RunPrivacy {
  const key = kind === "train" ? "training" : "evaluation";
  const changed = who.map((one): [string, ReleaseCounts] => {
    const counts = privacy.spent[one] ?? noReleases;
    return [one, { ...counts, [key]: counts[key] + count }];
  });
  return { ...privacy, spent: { ...privacy.spent, ...Object.fromEntries(changed) } };
}
