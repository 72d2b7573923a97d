import { createAccountant } from "@fedlora/core";
import type { Accountant, PrivacyEvent } from "@fedlora/core";
import { atMost } from "../bench.js";
import type { DpSection } from "./dp-bench.js";

interface Setting {
  readonly name: string;
  readonly samplingRate: number;
  readonly noiseMultiplier: number;
  readonly steps: number;
  readonly delta: number;
  /** Longest time allowed, by accountant. */
  readonly barMs?: Readonly<Record<Accountant["name"], number>>;
}

const settings: readonly Setting[] = [
  { name: "small run", samplingRate: 0.04, noiseMultiplier: 1.5, steps: 2250, delta: 1e-5 },
  { name: "seldom sampled", samplingRate: 0.001, noiseMultiplier: 0.8, steps: 100, delta: 1e-6 },
  {
    name: "100,000 steps",
    samplingRate: 0.01,
    noiseMultiplier: 1,
    steps: 100_000,
    delta: 1e-5,
    barMs: { rdp: 50, pld: 2000 },
  },
  { name: "high rate", samplingRate: 0.2, noiseMultiplier: 0.8, steps: 100_000, delta: 1e-6 },
];

/** How long each accountant takes for an epsilon, and how far apart its bounds are. */
export function accountants({ quick }: { readonly quick: boolean }): Promise<DpSection> {
  const rows = settings.flatMap((setting) => (["rdp", "pld"] as const).map((name) => measure(setting, name, quick)));
  const bars = rows.flatMap(({ name, accountant, ms, barMs }) =>
    barMs === undefined ? [] : [atMost(`${accountant}: epsilon of ${name}, ms`, ms, barMs)],
  );
  return Promise.resolve({ results: rows, bars });
}

function measure(
  { name, samplingRate, noiseMultiplier, steps, delta, barMs }: Setting,
  kind: Accountant["name"],
  quick: boolean,
) {
  const accountant = createAccountant(kind);
  const events: PrivacyEvent[] = [
    { mechanism: { kind: "sampled-gaussian", samplingRate, noiseMultiplier }, count: steps },
  ];
  const bound = accountant.epsilon(events, delta);
  let ms = Number.POSITIVE_INFINITY;
  for (let i = 0; i < (quick ? 1 : 5); i += 1) {
    const start = performance.now();
    accountant.epsilon(events, delta);
    ms = Math.min(ms, performance.now() - start);
  }
  return {
    name,
    accountant: kind,
    samplingRate,
    noiseMultiplier,
    steps,
    delta,
    epsilon: bound.epsilon,
    lowerEpsilon: bound.lowerEpsilon ?? null,
    ms,
    barMs: barMs?.[kind],
  };
}
