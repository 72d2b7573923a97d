import {
  clientControlName,
  type Directive,
  fromFloat32,
  serverControlName,
  type StateDict,
  type TensorRole,
  toFloat32,
  toStateDict,
} from "@fedlora/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SavedAdapter } from "../lora/adapter-folder.js";
import {
  dataOf,
  openTinyWorkbench,
  type PeftGolden,
  readPeftGolden,
  requestOf,
  type TinyWorkbench,
  trainEverything,
} from "../testing/tiny-models.js";
import type { TrainRequest } from "./local-trainer.js";

let bert: TinyWorkbench;
let golden: PeftGolden;
let adapter: SavedAdapter;
beforeAll(async () => {
  [bert, golden] = await Promise.all([openTinyWorkbench("bert"), readPeftGolden()]);
  adapter = await bert.readAdapter("plain");
});
afterAll(() => bert.remove());

const noSignal = new AbortController().signal;
const ignore = (): void => undefined;
const mails = () => golden.bert.texts.map((text, index) => ({ text, label: golden.training.bert.labels[index]! }));
const train = (request: TrainRequest) => bert.trainer.train(request, noSignal, ignore);
const sgd = { localSteps: 3, batchSize: 4, optimizer: { kind: "sgd", learningRate: 0.1, weightDecay: 0 } } as const;
const request = (
  training: Parameters<typeof trainEverything>[1],
  directives: readonly Directive[],
  others: Partial<TrainRequest> = {},
): TrainRequest =>
  requestOf(trainEverything(adapter, training, { directives }), adapter.tensors, dataOf(mails()), others);
const isB = (name: string): boolean => name.endsWith(".lora_B.weight");

describe("warm-up", () => {
  const keepB = (plan: TrainRequest): TrainRequest => ({
    ...plan,
    instructions: {
      ...plan.instructions,
      roles: plan.instructions.roles.map((role) => ({ ...role, keep: isB(role.spec.name) ? "run" : "none" })),
    },
  });
  const warmUp = (steps: number): Directive[] => [{ kind: "warm-up", version: 1, steps }];

  test("leaves what a newcomer does not keep untouched, bit by bit, and trains the rest", async () => {
    const { trained } = await train(keepB(request(sgd, warmUp(3), { isNewcomer: true })));

    for (const [name, tensor] of trained) {
      if (isB(name)) expect(tensor.bytes).not.toEqual(adapter.tensors.get(name)!.bytes);
      else expect(tensor.bytes).toEqual(adapter.tensors.get(name)!.bytes);
    }
  });

  test("ends after its steps, and is nothing to a client with kept values", async () => {
    const plain = await train(keepB(request(sgd, [])));
    const known = await train(keepB(request(sgd, warmUp(2))));
    const ended = await train(keepB(request(sgd, warmUp(2), { isNewcomer: true })));

    expect(known.trained).toEqual(plain.trained);
    const a = [...adapter.tensors.keys()].find((name) => name.endsWith(".lora_A.weight"))!;
    expect(ended.trained.get(a)!.bytes).not.toEqual(adapter.tensors.get(a)!.bytes);
    expect(ended.trained).not.toEqual(plain.trained);
  });
});

describe("the received loss", () => {
  const ask = (examples: number): Directive[] => [{ kind: "received-loss", version: 1, examples }];

  test("is the mean over the examples before training, which it does not disturb", async () => {
    const plain = await train(request(sgd, []));
    const { metrics, trained } = await train(request(sgd, ask(1000)));
    const { instructions, start } = request(sgd, []);
    const counts = await bert.trainer.evaluate({ instructions, start, data: dataOf([], mails()) }, noSignal, ignore);

    expect(metrics.receivedLoss).toBeCloseTo(counts.lossSum / counts.count, 5);
    expect(trained).toEqual(plain.trained);
    expect(plain.metrics).not.toHaveProperty("receivedLoss");
  });

  test("is of at most as many examples as asked for", async () => {
    const { instructions, start } = request(sgd, []);
    const losses = await Promise.all(
      mails().map(async (mail) => {
        const data = dataOf([], [mail]);
        return (await bert.trainer.evaluate({ instructions, start, data }, noSignal, ignore)).lossSum;
      }),
    );
    const { metrics } = await train(request(sgd, ask(1)));

    expect(Math.min(...losses.map((loss) => Math.abs(loss - metrics.receivedLoss!)))).toBeLessThan(1e-5);
  });
});

describe("control variates", () => {
  const fill = (state: StateDict, value: number, rename: (name: string) => string): StateDict =>
    toStateDict(
      [...state].map(([name, tensor]) => [
        rename(name),
        fromFloat32(new Float32Array(toFloat32(tensor).length).fill(value), tensor.shape),
      ]),
    );
  const withControls = (plan: TrainRequest, c: number, own: number): TrainRequest => {
    const control = (role: TensorRole, name: string): TensorRole => ({
      ...role,
      spec: { ...role.spec, name },
      trained: false,
    });
    const { roles } = plan.instructions;
    return {
      ...plan,
      instructions: {
        ...plan.instructions,
        directives: [{ kind: "control-variate", version: 1 }],
        roles: [
          ...roles,
          ...roles.map((role) => control(role, serverControlName(role.spec.name))),
          ...roles.map((role) => control(role, clientControlName(role.spec.name))),
        ],
      },
      start: toStateDict([
        ...plan.start,
        ...fill(plan.start, c, serverControlName),
        ...fill(plan.start, own, clientControlName),
      ]),
    };
  };

  test("that are equal change nothing in training; the new one is the mean gradient", async () => {
    const plain = await train(request(sgd, []));
    const { trained } = await train(withControls(request(sgd, []), 0.5, 0.5));

    for (const [name, tensor] of plain.trained) {
      expect(trained.get(name)).toEqual(tensor);
      const from = toFloat32(adapter.tensors.get(name)!);
      const to = toFloat32(tensor);
      toFloat32(trained.get(clientControlName(name))!).forEach((control, i) => {
        expect(Math.abs(control - (from[i]! - to[i]!) / (3 * 0.1))).toBeLessThan(1e-6);
      });
    }
    expect(trained.size).toBe(2 * plain.trained.size);
  });

  test("that differ shift every step by rate times the difference, and the model is evaluated without them", async () => {
    const oneStep = { ...sgd, localSteps: 1 };
    const plain = await train(request(oneStep, []));
    const controlled = withControls(request(oneStep, []), 0.25, 0);
    const { trained } = await train(controlled);

    for (const [name, tensor] of plain.trained) {
      const expected = toFloat32(tensor);
      toFloat32(trained.get(name)!).forEach((value, i) => {
        expect(Math.abs(value - (expected[i]! - 0.1 * 0.25))).toBeLessThan(1e-6);
      });
    }
    const data = dataOf([], mails());
    const counts = await bert.trainer.evaluate({ ...controlled, data }, noSignal, ignore);
    const { instructions, start } = request(oneStep, []);
    expect(counts).toEqual(await bert.trainer.evaluate({ instructions, start, data }, noSignal, ignore));
  });
});

test("a rank penalty changes both factors, a weight of zero nothing", async () => {
  const penalty = (lambda: number): Directive[] => [{ kind: "rank-penalty", version: 1, lambda, gamma: 0.5 }];
  const plain = await train(request(sgd, []));
  const weightless = await train(request(sgd, penalty(0)));
  const strong = await train(request(sgd, penalty(10)));

  expect(weightless.trained).toEqual(plain.trained);
  const changed = [...plain.trained].filter(([name, tensor]) => {
    const other = strong.trained.get(name)!;
    return Buffer.compare(Buffer.from(other.bytes), Buffer.from(tensor.bytes)) !== 0;
  });
  expect(changed.some(([name]) => isB(name))).toBe(true);
  expect(changed.some(([name]) => name.endsWith(".lora_A.weight"))).toBe(true);
});

test("G28: FedProx without a pull is plain training", async () => {
  const weak = await train(request(sgd, [{ kind: "proximal", version: 1, mu: 1e-30 }]));

  expect(weak.trained).toEqual((await train(request(sgd, []))).trained);
});
