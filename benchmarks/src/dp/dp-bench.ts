import { machine } from "../bench.js";
import type { Bench, BenchReport } from "../bench.js";
import { accountants } from "./accountants.js";
import { steps } from "./steps.js";

/** Some rows of the benchmark and the bars on them. */
export type DpSection = Pick<BenchReport, "results" | "bars">;

/** Each measures its part alone, one after the other. */
const sections: readonly ((options: { readonly quick: boolean }) => Promise<DpSection>)[] = [accountants, steps];

/** What privacy costs: time to compute an epsilon, and time per training step. */
export const dpBench: Bench = {
  name: "dp",
  run: async ({ quick }) => {
    const results = [];
    const bars = [];
    for (const section of sections) {
      const part = await section({ quick });
      results.push(...part.results);
      bars.push(...part.bars);
    }
    return { bench: "dp", machine: machine(), results, bars };
  },
};
