import { compileRunSpec, createAccountant, noiseMultiplierFor } from "@fedlora/core";
import type { BaseModelHash, PlanPrivacy, PrivacyEvent, RunSpec } from "@fedlora/core";
import { spamLabels } from "../demo/spam-task.js";
import type { AuditSetting } from "./run-audit.js";

const localSteps = 12;
const batchSize = 8;
const delta = 1e-3;
const clipNorm = 1;

/**
 * The run that is audited where the user names none: FedAvg, a step of plain gradient descent at a time, the optimizer that
 * hides least. A client has about fifty mails, half of the candidates.
 */
export function spamAuditSpec(hash: BaseModelHash): RunSpec {
  return compileRunSpec({
    name: "audit",
    model: { hash },
    task: { kind: "sequence-classification", labels: [...spamLabels], positiveLabel: "spam", maxTokens: 32 },
    adapter: { rank: 8, alpha: 16, targetModules: ["query", "value"] },
    rounds: 1,
    cohort: { size: 4 },
    training: { localSteps, batchSize, optimizer: { kind: "sgd", learningRate: 0.1 }, maxGradNorm: null },
  });
}

/** Without privacy, and the noise on examples and on the update that gives one round the same epsilon. */
export function spamAuditSettings(epsilon: number): readonly AuditSetting[] {
  const solve = (eventsAt: (noiseMultiplier: number) => readonly PrivacyEvent[]): number =>
    noiseMultiplierFor({ epsilon, delta }, eventsAt, createAccountant("pld"));
  const samplingRate = batchSize / 50;
  const shared = { clipNorm, delta };
  const example: PlanPrivacy = {
    mode: "example",
    ...shared,
    clipping: "flat",
    minExamples: batchSize,
    noiseMultiplier: solve((noiseMultiplier) => [
      { mechanism: { kind: "sampled-gaussian", noiseMultiplier, samplingRate }, count: localSteps },
    ]),
  };
  const local: PlanPrivacy = {
    mode: "local",
    ...shared,
    noiseMultiplier: solve((noiseMultiplier) => [{ mechanism: { kind: "gaussian", noiseMultiplier }, count: 1 }]),
  };
  return [
    { name: "no privacy", privacy: undefined },
    { name: `mode example, epsilon ${epsilon}`, privacy: example },
    { name: `mode local, epsilon ${epsilon}`, privacy: local },
  ];
}
