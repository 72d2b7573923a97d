import { type PlanPrivacy, taskSchema, trainingSchema } from "@fedlora/core";
import { expect, test } from "vitest";
import { preparePrivateTraining, privateSteps, type PrivateTraining } from "./private-steps.js";
import { seededSecrets } from "./secrets.js";

const shared = { noiseMultiplier: 1.5, clipNorm: 2, delta: 1e-5 };
const example = { mode: "example", ...shared, clipping: "per-layer", minExamples: 4 } as const;
const training = trainingSchema.parse({ localSteps: 3, batchSize: 4, gradientAccumulation: 2 });
const prepare = (
  privacy: PlanPrivacy | undefined,
  train: () => Iterable<never>,
): Promise<PrivateTraining | undefined> =>
  preparePrivateTraining(
    privacy,
    {
      data: { name: "mail", train },
      task: taskSchema.parse({ kind: "causal-lm" }),
      training,
      tokenizer: { padTokenId: 0, bosTokenId: undefined, eosTokenId: undefined, encode: () => [], decode: String },
    },
    new AbortController().signal,
    () => Promise.resolve(),
  );

test.each([undefined, { mode: "client", ...shared }, { mode: "local", ...shared }] as const)(
  "nothing is prepared, and no data read, where privacy is not made at the examples: %j",
  async (privacy) => {
    const train = (): never => {
      throw new Error("data was read");
    };

    expect(await prepare(privacy, train)).toBeUndefined();
    await expect(prepare(example, train)).rejects.toThrow();
  },
);

test("clipping, noise and events are the plan's; every step and every micro-batch has a key of its own", () => {
  const steps = privateSteps(example, training, 0.25, seededSecrets(1));

  expect(steps.clipping).toEqual({ kind: "per-layer", clipNorm: 2 });
  const noises = [steps.noise(), steps.noise()];
  for (const noise of noises) expect(noise).toMatchObject({ std: 3, divisor: 8 });
  expect(noises[0]!.key).not.toEqual(noises[1]!.key);
  const mechanism = { kind: "sampled-gaussian", noiseMultiplier: 1.5, samplingRate: 0.25 };
  expect(steps.events(3)).toEqual([{ mechanism, count: 3 }]);
  const [first, second] = [steps.maskStream(), steps.maskStream()];
  // The modules of one micro-batch go on where the one before them stopped.
  const words = [first("a").uint32(), first("b").uint32(), second("a").uint32()];
  expect(new Set(words).size).toBe(3);
});
