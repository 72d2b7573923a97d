import { elementCount, fromFloat32, readSafetensors, type StateDict, taskSchema, toFloat32 } from "@fedlora/core";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { SavedAdapter } from "../lora/adapter-folder.js";
import {
  dataOf,
  openTinyWorkbench,
  peftFolder,
  type PeftGolden,
  readPeftGolden,
  requestOf,
  type TinyWorkbench,
  trainEverything,
} from "../testing/tiny-models.js";
import type { TrainingProgress, TrainRequest } from "./local-trainer.js";

let bert: TinyWorkbench;
let llama: TinyWorkbench;
let golden: PeftGolden;
let bertPlain: SavedAdapter;
let llamaPlain: SavedAdapter;
beforeAll(async () => {
  [bert, llama, golden] = await Promise.all([openTinyWorkbench("bert"), openTinyWorkbench("llama"), readPeftGolden()]);
  [bertPlain, llamaPlain] = await Promise.all([bert.readAdapter("plain"), llama.readAdapter("plain")]);
});
afterAll(async () => {
  await bert.remove();
  await llama.remove();
});

const mails = () => golden.bert.texts.map((text, index) => ({ text, label: golden.training.bert.labels[index]! }));
const pairs = () => golden.llama.examples.map(({ prompt, completion }) => ({ prompt, completion }));
const noSignal = new AbortController().signal;
const ignore = (): void => undefined;

function largestDifference(a: StateDict, b: StateDict): number {
  expect([...a.keys()]).toEqual([...b.keys()]);
  const differences = [...a].flatMap(([name, tensor]) => {
    const other = toFloat32(b.get(name)!);
    return Array.from(toFloat32(tensor), (value, index) => Math.abs(value - other[index]!));
  });
  return Math.max(...differences);
}

/** Every setting of the golden training in testdata/peft/generate.py, whose run is the second of two rounds. */
function goldenRequest(
  adapter: SavedAdapter,
  kind: "cosine" | "linear",
  rows: number,
  micros: number,
  data: unknown[],
) {
  const { settings } = golden.training;
  const instructions = trainEverything(
    adapter,
    {
      localSteps: settings["steps"]!,
      batchSize: rows,
      gradientAccumulation: micros,
      optimizer: {
        learningRate: settings["learningRate"]!,
        headLearningRate: settings["headLearningRate"]!,
        loraPlusRatio: settings["loraPlusRatio"]!,
        weightDecay: settings["weightDecay"]!,
      },
      schedule: { kind, warmupSteps: settings["warmupSteps"]! },
      maxGradNorm: settings["maxGradNorm"]!,
    },
    { directives: [{ kind: "proximal", version: 1, mu: settings["proximalMu"]! }], rounds: 2 },
  );
  return requestOf(instructions, adapter.tensors, dataOf(data), { round: 2 });
}

async function trainAndRecord(workbench: TinyWorkbench, request: TrainRequest) {
  const progress: TrainingProgress[] = [];
  const result = await workbench.trainer.train(request, noSignal, (step) => progress.push(step));
  return { result, progress, losses: progress.filter(({ stage }) => stage === "training").map(({ loss }) => loss) };
}

async function readTrained(kind: "bert" | "llama"): Promise<StateDict> {
  return readSafetensors(await readFile(join(peftFolder, kind, "trained", "adapter_model.safetensors"))).tensors;
}

describe("training against PyTorch and PEFT, with every setting", () => {
  test.each([
    ["one batch", 6, 1],
    ["two micro-batches", 3, 2],
    ["padding rows", 5, 2],
  ])("a classifier in %s", async (_, rows, micros) => {
    const { result, losses } = await trainAndRecord(bert, goldenRequest(bertPlain, "cosine", rows, micros, mails()));

    losses.forEach((loss, step) => expect(loss).toBeCloseTo(golden.training.bert.losses[step]!, 4));
    expect(largestDifference(result.trained, await readTrained("bert"))).toBeLessThan(1e-5);
    expect(result.metrics).toMatchObject({ numExamples: 6, numSteps: 5 });
    expect(result.metrics.trainLoss).toBeCloseTo(losses.reduce((a, b) => a + b) / 5, 6);
  });

  test.each([
    ["one batch", 4, 1],
    ["micro-batches with unequal numbers of targets", 1, 4],
    ["padding rows", 3, 2],
  ])("a language model in %s", async (_, rows, micros) => {
    const { result, losses } = await trainAndRecord(llama, goldenRequest(llamaPlain, "linear", rows, micros, pairs()));

    losses.forEach((loss, step) => expect(loss).toBeCloseTo(golden.training.llama.losses[step]!, 4));
    expect(largestDifference(result.trained, await readTrained("llama"))).toBeLessThan(1e-5);
  });
});

describe("evaluation against PyTorch and PEFT", () => {
  test("a classifier's losses and confusion", async () => {
    const adapter = await bert.readAdapter("patterns");
    const logits = golden.bert.logits["patterns"]!;
    const labels = golden.training.bert.labels;
    const lossOf = (row: readonly number[], label: number): number =>
      Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[label]!;
    const confusion = new Array<number>(9).fill(0);
    logits.forEach((row, index) => (confusion[labels[index]! * 3 + row.indexOf(Math.max(...row))]! += 1));

    for (const batchSize of [6, 4]) {
      const instructions = trainEverything(adapter, { batchSize });
      const request = { instructions, start: adapter.tensors, data: dataOf([], mails()) };
      const counts = await bert.trainer.evaluate(request, noSignal, ignore);

      expect(counts.count).toBe(6);
      expect(counts.lossSum).toBeCloseTo(
        logits.reduce((sum, row, index) => sum + lossOf(row, labels[index]!), 0),
        3,
      );
      expect(counts.confusion).toEqual(confusion);
    }
  });

  test.each([
    ["completions", true, "lossSum"],
    ["whole texts", false, "lossSumAll"],
  ] as const)("a language model's losses on %s", async (_, maskPrompt, field) => {
    const task = taskSchema.parse({ kind: "causal-lm", maxTokens: 64, maskPrompt });
    const instructions = trainEverything({ ...llamaPlain, task }, { batchSize: 3 });
    const request = { instructions, start: llamaPlain.tensors, data: dataOf([], pairs()) };

    const { count, lossSum, confusion } = await llama.trainer.evaluate(request, noSignal, ignore);

    const { examples } = golden.llama;
    expect(lossSum).toBeCloseTo(
      examples.reduce((sum, example) => sum + example[field], 0),
      3,
    );
    const starts = examples.map(({ targetStart }) => (maskPrompt ? targetStart : 1));
    expect(count).toBe(examples.reduce((sum, { ids }, index) => sum + ids.length - starts[index]!, 0));
    expect(confusion).toEqual([]);
  });
});

describe("a round", () => {
  const epochs = (others: Parameters<typeof trainEverything>[1] = {}) =>
    trainEverything(bertPlain, { localEpochs: 3, batchSize: 2, optimizer: { learningRate: 0.01 }, ...others });

  test("lowers the loss; equal requests give equal bits, other streams another order", async () => {
    const request = requestOf(epochs(), bertPlain.tensors, dataOf(mails()));

    const first = await trainAndRecord(bert, request);
    const again = await trainAndRecord(bert, request);
    const other = await trainAndRecord(bert, { ...request, streamKey: "run/other" });

    expect(first.losses).toHaveLength(9);
    expect(first.result.metrics.trainLoss).toBeCloseTo(first.losses.slice(6).reduce((a, b) => a + b) / 3, 6);
    expect(first.result.metrics.trainLoss).toBeLessThan(first.losses.slice(0, 3).reduce((a, b) => a + b) / 3);
    expect(largestDifference(first.result.trained, again.result.trained)).toBe(0);
    expect(largestDifference(first.result.trained, other.result.trained)).toBeGreaterThan(0);
  });

  test("reports what it does, with tokens per second", async () => {
    const { progress } = await trainAndRecord(bert, requestOf(epochs(), bertPlain.tensors, dataOf(mails())));

    expect(progress[0]).toMatchObject({ stage: "preparing", loss: Number.NaN });
    expect(progress.slice(1).map(({ step, totalSteps }) => [step, totalSteps])).toEqual(
      Array.from({ length: 9 }, (_, index) => [index + 1, 9]),
    );
    expect(progress.at(-1)!.tokensPerSecond).toBeGreaterThan(0);
  });

  test("trains only what its role says, and gives nothing else back", async () => {
    const instructions = epochs();
    const isB = (name: string): boolean => name.includes("lora_B");
    const roles = instructions.roles.map((role) => ({ ...role, trained: isB(role.spec.name) }));

    const { result } = await trainAndRecord(
      bert,
      requestOf({ ...instructions, roles }, bertPlain.tensors, dataOf(mails())),
    );

    expect([...result.trained.keys()]).toEqual([...bertPlain.tensors.keys()].filter(isB));
  });

  test("goes on with the optimizer's moments where they are kept", async () => {
    const settings = { batchSize: 6, optimizer: { learningRate: 0.01 } };
    const steps = (localSteps: number) =>
      trainEverything(bertPlain, { ...settings, localSteps }, { keepOptimizerState: true });
    const whole = await trainAndRecord(bert, requestOf(steps(6), bertPlain.tensors, dataOf(mails())));
    const half = await trainAndRecord(bert, requestOf(steps(3), bertPlain.tensors, dataOf(mails())));
    const { trained, optimizerState } = half.result;

    const rest = requestOf(steps(3), trained, dataOf(mails()), { round: 2, optimizerState });
    const resumed = await trainAndRecord(bert, rest);
    const fresh = await trainAndRecord(bert, { ...rest, optimizerState: undefined });

    expect(largestDifference(resumed.result.trained, whole.result.trained)).toBeLessThan(1e-5);
    expect(largestDifference(fresh.result.trained, whole.result.trained)).toBeGreaterThan(1e-4);
  });

  test("starts afresh with the moments of other tensors", async () => {
    const request = requestOf(epochs(), bertPlain.tensors, dataOf(mails()), { optimizerState: new Map() });

    await expect(trainAndRecord(bert, request)).resolves.toMatchObject({ result: { optimizerState: undefined } });
  });

  test("drops out the same way twice, and not like another seed", async () => {
    const dropping = (seed: number): TrainRequest => {
      const instructions = { ...epochs(), adapter: { ...bertPlain.spec, dropout: 0.5 }, seed };
      return requestOf(instructions, bertPlain.tensors, dataOf(mails()));
    };
    const [first, again, other] = [dropping(7), dropping(7), dropping(8)];

    const { trained } = (await trainAndRecord(bert, first)).result;

    expect(largestDifference(trained, (await trainAndRecord(bert, again)).result.trained)).toBe(0);
    expect(largestDifference(trained, (await trainAndRecord(bert, other)).result.trained)).toBeGreaterThan(1e-3);
    const { result } = await trainAndRecord(bert, requestOf(epochs(), bertPlain.tensors, dataOf(mails())));
    expect(largestDifference(trained, result.trained)).toBeGreaterThan(1e-3);
  });

  test("every epoch has an order of its own, every micro-batch masks of its own", async () => {
    const engine = await bert.engine();
    const seen: { readonly tokens: string; readonly masks: string }[] = [];
    const spy = vi.spyOn(engine, "accumulate").mockImplementation(({ inputs }) => {
      const texts = Object.entries(inputs).map(([name, { data }]) => [name, data.join()] as const);
      const masks = texts.filter(([name]) => name.startsWith("dropout"));
      seen.push({ tokens: texts.find(([name]) => name === "input_ids")?.[1] ?? "", masks: masks.join() });
      return Promise.resolve({ loss: 1, stepMs: 1 });
    });
    const apply = vi.spyOn(engine, "apply").mockResolvedValue({ gradNorm: 1 });
    const instructions = trainEverything(
      { ...bertPlain, spec: { ...bertPlain.spec, dropout: 0.5 } },
      { localEpochs: 2, batchSize: 1, gradientAccumulation: 1 },
    );

    await trainAndRecord(bert, requestOf(instructions, bertPlain.tensors, dataOf(mails())));
    const grouped = { ...instructions, training: { ...instructions.training, gradientAccumulation: 3 } };
    const inSteps = seen.splice(0);
    await trainAndRecord(bert, requestOf(grouped, bertPlain.tensors, dataOf(mails())));
    spy.mockRestore();
    apply.mockRestore();

    const epochs = [inSteps.slice(0, 6), inSteps.slice(6)].map((steps) => steps.map(({ tokens }) => tokens));
    expect(epochs[0]).not.toEqual(epochs[1]);
    expect([...epochs[0]!].sort()).toEqual([...epochs[1]!].sort());
    expect(new Set(inSteps.map(({ masks }) => masks)).size).toBe(12);
    expect(new Set(seen.map(({ masks }) => masks)).size).toBe(12);
  });

  test("stops between two steps, and the trainer works on", async () => {
    const abort = new AbortController();
    const request = requestOf(epochs(), bertPlain.tensors, dataOf(mails()));
    const steps: number[] = [];

    const stopped = bert.trainer.train(request, abort.signal, ({ step }) => {
      steps.push(step);
      if (step === 2) abort.abort();
    });

    await expect(stopped).rejects.toMatchObject({ code: "cancelled" });
    expect(steps).toEqual([0, 1, 2]);
    await expect(trainAndRecord(bert, request)).resolves.toBeDefined();
  });

  test("two at once do not disturb each other", async () => {
    const request = requestOf(epochs(), bertPlain.tensors, dataOf(mails()));
    const alone = await trainAndRecord(bert, request);

    const [one, two] = await Promise.all([
      trainAndRecord(bert, request),
      trainAndRecord(bert, { ...request, streamKey: "run/other" }),
    ]);

    expect(largestDifference(one.result.trained, alone.result.trained)).toBe(0);
    expect(largestDifference(two.result.trained, alone.result.trained)).toBeGreaterThan(0);
  });
});

describe("what cannot be trained is refused, by name", () => {
  const plan = () => trainEverything(bertPlain, {});
  const withTask = (task: unknown) => ({ ...plan(), task: taskSchema.parse(task) });
  const labels = ["no", "maybe", "yes"];

  test.each<[string, () => Partial<TrainRequest>, string, RegExp]>([
    ["no example", () => ({ data: dataOf([]) }), "data-empty", /"tiny" holds no example/],
    [
      "an unknown label",
      () => ({ data: dataOf([{ text: "a", label: "spam" }]) }),
      "data-invalid",
      /example 1 .*"spam"/,
    ],
    ["a label out of range", () => ({ data: dataOf([{ text: "a", label: 3 }]) }), "data-invalid", /label 3 .*0 to 2/],
    [
      "no text",
      () => ({ data: dataOf([mails()[0], { text: 7, label: 0 }]) }),
      "data-invalid",
      /example 2 of data set "tiny": "text" must be a text, got 7/,
    ],
    ["no object", () => ({ data: dataOf(["free money"]) }), "data-invalid", /example 1 .*must be an object/],
    [
      "a source that fails",
      () => ({ data: { name: "tiny", train: () => Promise.reject(new Error("disk on fire")) } }),
      "data-invalid",
      /after 0 examples: disk on fire/,
    ],
    [
      "a directive of a later version",
      () => ({ instructions: { ...plan(), directives: [{ kind: "proximal", version: 2 as 1, mu: 1 }] } }),
      "directive-unknown",
      /proximal@2/,
    ],
    [
      "more tokens than positions",
      () => ({ instructions: withTask({ kind: "sequence-classification", labels, maxTokens: 65 }) }),
      "model-unsupported",
      /65 is more than the 64 positions/,
    ],
    ["another task", () => ({ instructions: withTask({ kind: "causal-lm" }) }), "model-unsupported", /not causal-lm/],
    [
      "a start value missing",
      () => ({ start: new Map([...bertPlain.tensors].slice(1)) }),
      "adapter-invalid",
      /query\.lora_A\.weight" \[4, 16\] is missing/,
    ],
    [
      "nothing to train",
      () => ({ instructions: { ...plan(), roles: plan().roles.map((role) => ({ ...role, trained: false })) } }),
      "request-invalid",
      /trains no tensor/,
    ],
  ])("%s", async (_, others, code, message) => {
    const request = { ...requestOf(plan(), bertPlain.tensors, dataOf(mails())), ...others() };

    const refused = bert.trainer.train(request, noSignal, ignore);

    await expect(refused).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
  });

  test("texts without a target, and data without held-out examples", async () => {
    const instructions = trainEverything(llamaPlain, {});
    const request = requestOf(instructions, llamaPlain.tensors, dataOf([{ text: "" }], [{ text: "" }]));

    await expect(llama.trainer.train(request, noSignal, ignore)).rejects.toMatchObject({ code: "data-empty" });
    await expect(llama.trainer.evaluate(request, noSignal, ignore)).rejects.toMatchObject({ code: "data-empty" });
    await expect(llama.trainer.evaluate({ ...request, data: dataOf(pairs()) }, noSignal, ignore)).rejects.toMatchObject(
      { code: "data-empty", message: expect.stringContaining("held-out") as string },
    );
  });

  test("a training that diverges", async () => {
    const huge = new Map(
      [...bertPlain.tensors].map(([name, { shape }]) => [
        name,
        fromFloat32(new Float32Array(elementCount(shape)).fill(1e30), shape),
      ]),
    );

    const refused = bert.trainer.train(
      requestOf(trainEverything(bertPlain, {}), huge, dataOf(mails())),
      noSignal,
      ignore,
    );

    await expect(refused).rejects.toMatchObject({ code: "update-not-finite" });
  });
});
