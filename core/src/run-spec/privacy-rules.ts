import { countsOnDefaultCap } from "./coordination-schema.js";
import type { RunSpec } from "./schema.js";
import type { SpecRule } from "./spec-rules.js";

/** What a private run excludes, because no bound, or another one than is accounted for, would follow. */
export const privacyRules: readonly SpecRule<RunSpec>[] = [
  {
    path: ["privacy", "epsilon"],
    error: "give epsilon, noiseMultiplier or both: without either nothing says how much noise there is to be",
    holds: ({ privacy }) =>
      privacy.mode === "none" || privacy.epsilon !== undefined || privacy.noiseMultiplier !== undefined,
  },
  {
    path: ["privacy", "minExamples"],
    error: "is below the examples of one step (training.batchSize x gradientAccumulation): a sampling rate above 1",
    holds: ({ privacy, training: { batchSize, gradientAccumulation } }) =>
      privacy.mode !== "example" || privacy.minExamples >= batchSize * gradientAccumulation,
  },
  {
    path: ["privacy", "population"],
    error: "is below cohort.size: a sampling rate above 1",
    holds: ({ privacy, cohort }) => privacy.mode !== "client" || privacy.population >= cohort.size,
  },
  {
    path: ["training", "localSteps"],
    error:
      "is needed with privacy.mode example: after epochs the number of steps would tell how many examples a client has",
    holds: ({ privacy, training }) => privacy.mode !== "example" || training.localSteps !== undefined,
  },
  {
    path: ["weighting", "kind"],
    error: "must be uniform in a private run: a client's example count is a release that nothing bounds",
    holds: ({ privacy, weighting }) =>
      privacy.mode === "none" || privacy.mode === "client" || weighting.kind === "uniform",
  },
  {
    path: ["weighting"],
    error:
      "with privacy.mode client a client of n examples counts n / maxExamples, against noise for one that counts 1: write kind uniform, or a maxExamples that is common among the clients",
    holds: ({ privacy, weighting }) => privacy.mode !== "client" || !countsOnDefaultCap(weighting),
  },
  {
    path: ["evaluation", "target"],
    error: "stops the run by what clients measured, which is a release: it needs privacy.metricsNoise",
    holds: ({ privacy, evaluation: { target } }) =>
      privacy.mode === "none" || target === undefined || privacy.metricsNoise !== undefined,
  },
  {
    path: ["policy", "kind"],
    error: "must be synchronous in a private run: how much one client adds to a buffer depends on how stale it is",
    holds: ({ privacy, policy }) => privacy.mode === "none" || policy.kind === "synchronous",
  },
  {
    path: ["adapter", "init", "kind"],
    error: "gradient and activation release sketches of the clients' data that no privacy mode accounts for",
    holds: ({ privacy, adapter: { init } }) =>
      privacy.mode === "none" || (init.kind !== "gradient" && init.kind !== "activation"),
  },
  {
    path: ["training", "controlVariates"],
    error: "releases a second quantity per update that no privacy mode accounts for",
    holds: ({ privacy, training }) => privacy.mode === "none" || !training.controlVariates,
  },
  {
    path: ["keepUpdates"],
    error: "would keep updates without noise: with privacy.mode client they go at the commit",
    holds: ({ privacy, keepUpdates }) => privacy.mode !== "client" || !keepUpdates,
  },
  {
    path: ["cohort", "overSelection"],
    error: "must be 1 with privacy.mode client: cohorts are drawn by Poisson sampling, and every update counts",
    holds: ({ privacy, cohort }) => privacy.mode !== "client" || cohort.overSelection === 1,
  },
  {
    path: ["cohort", "quorum"],
    error: "does not go with privacy.mode client: a round closes with what there is, an empty cohort included",
    holds: ({ privacy, cohort }) => privacy.mode !== "client" || cohort.quorum === undefined,
  },
  {
    path: ["rankPlan", "kind"],
    error: "must be uniform with privacy.mode client: the noise is for a sum in which every client holds every value",
    holds: ({ privacy, rankPlan }) => privacy.mode !== "client" || rankPlan.kind === "uniform",
  },
];
