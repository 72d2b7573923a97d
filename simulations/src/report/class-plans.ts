import type { ClassRound } from "../run/class-rounds.js";
import type { RoundRow, RunResult } from "../run/round-row.js";
import { spreadOf, type Spread } from "./spread.js";

/** What the clients of a device class trained under a variant, over its rounds; spreads are over the seeds. */
export interface ClassPlans {
  readonly name: string;
  readonly trainings: number;
  /** Layers from the output: mean over the trainings, least and most. */
  readonly depth: Spread | undefined;
  readonly minDepth: number;
  readonly maxDepth: number;
  /** Of a module: least and most. */
  readonly minRank: number;
  readonly maxRank: number;
  /** Sum over the modules, mean over the trainings. */
  readonly totalRank: Spread | undefined;
  /** From a client's delivery to the round's last, mean over the rounds. */
  readonly waitingSeconds: Spread | undefined;
}

/** By class, in the order of their names. */
export function classPlans(runs: readonly RunResult[]): readonly ClassPlans[] {
  const names = new Set(runs.flatMap(({ rounds }) => rounds.flatMap(({ classes }) => Object.keys(classes))));
  return [...names].sort().map((name) => {
    const perRun = runs.map(({ rounds }) => rounds.flatMap(({ classes }) => classes[name] ?? []));
    const all = perRun.flat();
    const depths = all.flatMap((each) => Object.keys(each.depths).map(Number));
    const over = (mean: (rounds: readonly ClassRound[]) => number | undefined): Spread | undefined =>
      spreadOf(perRun.flatMap((rounds) => mean(rounds) ?? []));
    return {
      name,
      trainings: all.reduce((sum, { clients }) => sum + clients, 0),
      depth: over((rounds) => byClients(rounds, meanDepth)),
      minDepth: Math.min(...depths),
      maxDepth: Math.max(...depths),
      minRank: Math.min(...all.map(({ minRank }) => minRank)),
      maxRank: Math.max(...all.map(({ maxRank }) => maxRank)),
      totalRank: over((rounds) => byClients(rounds, ({ totalRank }) => totalRank)),
      waitingSeconds: over((rounds) => {
        const waits = rounds.flatMap(({ waitingMs }) => waitingMs ?? []);
        return waits.length === 0 ? undefined : waits.reduce((sum, ms) => sum + ms, 0) / waits.length / 1000;
      }),
    };
  });
}

/** Mean depth of a class in a round; undefined where it had no client. */
export function depthIn({ classes }: RoundRow, name: string): number | undefined {
  const own = classes[name];
  return own && meanDepth(own);
}

function meanDepth({ depths, clients }: ClassRound): number {
  return Object.entries(depths).reduce((sum, [depth, count]) => sum + Number(depth) * count, 0) / clients;
}

function byClients(rounds: readonly ClassRound[], value: (round: ClassRound) => number): number | undefined {
  const clients = rounds.reduce((sum, each) => sum + each.clients, 0);
  return clients === 0 ? undefined : rounds.reduce((sum, each) => sum + value(each) * each.clients, 0) / clients;
}
