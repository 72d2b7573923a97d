import * as tf from "@tensorflow/tfjs";
import * as ort from "onnxruntime-node";
import { beforeAll, describe, expect, test } from "vitest";
import { encodeOnnx } from "../engine/compile/encode-onnx.js";
import { simplify } from "../engine/compile/simplify.js";
import { trace } from "../engine/compile/trace.js";
import { loadEagerBackend } from "../engine/eager/load-backend.js";
import { runOnBackend } from "../engine/eager/run-on-backend.js";
import { floats, integers, relativeError } from "../engine/testing/golden-model.js";
import type { HostTensor } from "../engine/engine.js";
import * as ops from "./ops.js";
import type { Value } from "./ops.js";
import { tensorOf } from "./ops/value.js";

interface OpCase {
  readonly name: string;
  /** Differentiated inputs. */
  readonly trained: Readonly<Record<string, readonly number[]>>;
  readonly fixed?: Readonly<Record<string, HostTensor | readonly number[]>>;
  readonly run: (input: (name: string) => Value) => Value;
}

const mask = integers([2, 4], [1, 1, 1, 0, 1, 1, 0, 0]);
const tokens = integers([6], [2, 0, 4, 1, 3, 4]);
const x = [6, 5];

const frozen = (value: Value): ops.Operand => ({ value, trained: false });
const trainedOperand = (value: Value): ops.Operand => ({ value, trained: true });

const cases: readonly OpCase[] = [
  { name: "add, broadcast", trained: { a: [3, 4], b: [4] }, run: (v) => ops.add(v("a"), v("b")) },
  { name: "multiply, broadcast", trained: { a: [3, 4], b: [3, 1] }, run: (v) => ops.multiply(v("a"), v("b")) },
  { name: "scale", trained: { a: [3, 4] }, run: (v) => ops.scale(v("a"), -1.5) },
  { name: "sum over an axis", trained: { a: [3, 4] }, run: (v) => ops.sum(v("a"), 1) },
  { name: "matmul", trained: { a: [2, 3, 4], b: [2, 4, 5] }, run: (v) => ops.matmul(v("a"), v("b")) },
  {
    name: "matmul, both transposed",
    trained: { a: [2, 4, 3], b: [2, 5, 4] },
    run: (v) => ops.matmul(v("a"), v("b"), true, true),
  },
  {
    name: "reshape",
    trained: { a: [3, 4] },
    run: (v) => ops.multiply(ops.reshape(v("a"), [2, 6]), v("b")),
    fixed: { b: [2, 6] },
  },
  { name: "transpose", trained: { a: [2, 3, 4] }, run: (v) => ops.transpose(v("a"), [2, 0, 1]) },
  { name: "slice", trained: { a: [3, 4, 2] }, run: (v) => ops.slice(v("a"), [1, 0, 1], [2, -1, 1]) },
  { name: "concat", trained: { a: [2, 3], b: [2, 1] }, run: (v) => ops.concat([v("a"), v("b"), v("a")], 1) },
  {
    name: "rowsAt",
    trained: { a: [2, 3, 4] },
    fixed: { p: integers([2], [2, 0]) },
    run: (v) => ops.rowsAt(v("a"), v("p")),
  },
  {
    name: "frozenLinear",
    trained: { x },
    fixed: { w: [3, 5], bias: [3] },
    run: (v) => ops.frozenLinear(v("x"), v("w"), v("bias")),
  },
  {
    name: "frozenLinear with a base delta",
    trained: { x },
    fixed: { w: [3, 5], a: [2, 5], b: [3, 2] },
    run: (v) => ops.frozenLinear(v("x"), v("w"), undefined, { a: v("a"), b: v("b") }),
  },
  { name: "linear", trained: { x, w: [3, 5], bias: [3] }, run: (v) => ops.linear(v("x"), v("w"), v("bias")) },
  {
    name: "linear, per example",
    trained: { x, w: [6, 3, 5], bias: [6, 3] },
    run: (v) => ops.linear(v("x"), v("w"), v("bias")),
  },
  {
    name: "lowRankUpdate with a mask",
    trained: { base: [6, 3], x, a: [2, 5], b: [3, 2] },
    fixed: { s: floats([], [0.7]), m: [2, 3, 5] },
    run: (v) => ops.lowRankUpdate(v("base"), v("x"), { a: v("a"), b: v("b"), scaling: v("s"), mask: v("m") }),
  },
  {
    name: "lowRankUpdate per example with a mask",
    trained: { base: [6, 3], x, a: [2, 2, 5], b: [2, 3, 2] },
    fixed: { s: floats([], [0.7]), m: [2, 3, 5] },
    run: (v) => ops.lowRankUpdate(v("base"), v("x"), { a: v("a"), b: v("b"), scaling: v("s"), mask: v("m") }),
  },
  {
    name: "adapterUpdate, latent with a mask",
    trained: { base: [6, 3], x, r: [2, 2] },
    fixed: { a: [2, 5], b: [3, 2], s: floats([], [0.7]), m: [2, 3, 5] },
    run: (v) =>
      ops.adapterUpdate(v("base"), v("x"), {
        a: frozen(v("a")),
        b: frozen(v("b")),
        r: trainedOperand(v("r")),
        scaling: v("s"),
        mask: v("m"),
      }),
  },
  {
    name: "adapterUpdate, VeRA per example",
    trained: { base: [6, 3], x, d: [2, 2], o: [2, 3] },
    fixed: { a: [2, 5], b: [3, 2], s: floats([], [0.7]) },
    run: (v) =>
      ops.adapterUpdate(v("base"), v("x"), {
        a: frozen(v("a")),
        b: frozen(v("b")),
        scaleRank: trainedOperand(v("d")),
        scaleOut: trainedOperand(v("o")),
        scaling: v("s"),
      }),
  },
  {
    name: "adapterUpdate, B alone, per example",
    trained: { base: [6, 3], x, b: [2, 3, 2] },
    fixed: { a: [2, 5], s: floats([], [0.7]) },
    run: (v) => ops.adapterUpdate(v("base"), v("x"), { a: frozen(v("a")), b: trainedOperand(v("b")), scaling: v("s") }),
  },
  {
    name: "layerNorm",
    trained: { x },
    fixed: { g: [5], b: [5] },
    run: (v) => ops.layerNorm(v("x"), v("g"), v("b"), 1e-5),
  },
  { name: "rmsNorm", trained: { x }, fixed: { g: [5] }, run: (v) => ops.rmsNorm(v("x"), v("g"), 1e-5) },
  { name: "gelu", trained: { x }, run: (v) => ops.gelu(v("x")) },
  { name: "geluTanh", trained: { x }, run: (v) => ops.geluTanh(v("x")) },
  { name: "silu", trained: { x }, run: (v) => ops.silu(v("x")) },
  { name: "tanh", trained: { x }, run: (v) => ops.tanh(v("x")) },
  { name: "softmax", trained: { x }, run: (v) => ops.softmax(v("x")) },
  {
    name: "attention, padding masked",
    trained: { q: [2, 2, 4, 3], k: [2, 2, 4, 3], v: [2, 2, 4, 3] },
    fixed: { mask },
    run: (v) => ops.attention(v("q"), v("k"), v("v"), ops.additiveMask(v("mask"), false)),
  },
  {
    name: "attention, causal and grouped",
    trained: { q: [2, 4, 4, 3], k: [2, 2, 4, 3], v: [2, 2, 4, 3] },
    fixed: { mask },
    run: (v) => ops.attention(v("q"), v("k"), v("v"), ops.additiveMask(v("mask"), true)),
  },
  {
    name: "attention of one query",
    trained: { q: [2, 2, 1, 3], k: [2, 2, 4, 3], v: [2, 2, 4, 3] },
    fixed: { mask },
    run: (v) => ops.attention(v("q"), v("k"), v("v"), ops.additiveMask(v("mask"), false)),
  },
  {
    name: "splitHeads and mergeHeads",
    trained: { x: [6, 4] },
    fixed: { c: [2, 2, 3, 2] },
    run: (v) => ops.mergeHeads(ops.multiply(ops.splitHeads(v("x"), 2, 2), v("c"))),
  },
  ...(["half-split", "interleaved"] as const).map((layout): OpCase => ({
    name: `rope, ${layout}`,
    trained: { x: [2, 2, 3, 4] },
    run: (v) => ops.rope(v("x"), ops.ropeTables(3, 4, 100, layout)),
  })),
  {
    name: "crossEntropy",
    trained: { x },
    fixed: { tokens },
    run: (v) => ops.crossEntropy(v("x"), v("tokens")),
  },
  {
    name: "headCrossEntropy in chunks",
    trained: { x },
    fixed: { tokens, w: [7, 5] },
    run: (v) => ops.headCrossEntropy(v("x"), v("w"), v("tokens"), { chunkRows: 4, needsGradient: true }),
  },
  {
    name: "checkpoint",
    trained: { x, w: [5, 5], b: [5] },
    run: (v) =>
      ops.tanh(ops.checkpoint([v("x"), v("w"), v("b")], ([a, w, b]) => ops.tanh(ops.linear(ops.gelu(a!), w!, b!)))),
  },
];

type Results = Readonly<Record<string, HostTensor>>;

/** Small numbers that differ; the same for the same name. */
function numbers(name: string, shape: readonly number[]): HostTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  const seed = Buffer.from(name).reduce((sum, letter) => (sum * 31 + letter) % 1009, 7);
  return floats(
    shape,
    Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i + 0.3 * i * i)),
  );
}

function inputsOf({ trained, fixed = {} }: OpCase): Map<string, HostTensor> {
  const given = Object.entries({ ...trained, ...fixed });
  return new Map(given.map(([name, value]) => [name, "data" in value ? value : numbers(name, value)]));
}

/** loss = sum(coefficients * op(inputs)), with its gradients. */
function program(opCase: OpCase, input: (name: string) => Value): Map<string, Value> {
  const parameters = Object.keys(opCase.trained);
  const loss = (): Value => {
    const y = opCase.run(input);
    const { data } = numbers("coefficients", y.shape);
    return ops.sum(ops.multiply(y, tf.tensor(data, [...y.shape])));
  };
  const { value, gradients } = ops.valueAndGradients(loss, parameters.map(input));
  return new Map([["loss", value], ...parameters.map((name, i): [string, Value] => [name, gradients[i]!])]);
}

function runEager(backend: string, opCase: OpCase, inputs: ReadonlyMap<string, HostTensor>): Results {
  return runOnBackend(backend, () => {
    const results: Record<string, HostTensor> = {};
    tf.tidy(() => {
      const tensors = new Map(
        [...inputs].map(([name, { data, shape, dtype }]) => [
          name,
          tf.tensor(data, [...shape], dtype === "F32" ? "float32" : "int32"),
        ]),
      );
      for (const [name, value] of program(opCase, (input) => tensors.get(input)!)) {
        results[name] = floats(value.shape, tensorOf(value).dataSync());
      }
    });
    return results;
  });
}

async function runCompiled(opCase: OpCase, inputs: ReadonlyMap<string, HostTensor>): Promise<Results> {
  const traced = trace({
    inputs: new Map(
      [...inputs].map(([name, { dtype, shape }]) => [name, { dtype: dtype === "F32" ? "float32" : "int32", shape }]),
    ),
    weightShape: () => [],
    run: (input) => program(opCase, input),
  });
  // A graph may not call an output what an input is called.
  const outputs = new Map([...traced.outputs].map(([name, value]) => [`d:${name}`, value]));
  const nodes = simplify(traced.graph, [...outputs.values()]);
  const graph = { graph: traced.graph, nodes, outputs, weights: new Map(), compilerVersion: "test" };
  const session = await ort.InferenceSession.create(encodeOnnx(graph), { logSeverityLevel: 3 });
  const feeds = [...inputs].map(([name, { data, shape, dtype }]) => {
    return [name, new ort.Tensor(dtype === "F32" ? "float32" : "int32", data, shape)] as const;
  });
  const results = await session.run(Object.fromEntries(feeds));
  await session.release();
  return Object.fromEntries(
    Object.entries(results).map(([name, { data, dims }]) => [name.slice(2), floats(dims, data as Float32Array)]),
  );
}

/** How far the gradient and the central difference of the loss differ along one direction, relative to both lengths. */
function directionalError(opCase: OpCase, inputs: ReadonlyMap<string, HostTensor>, name: string, at: string): number {
  const { data, shape } = inputs.get(name)!;
  const direction = numbers(at, shape).data;
  const step = 1e-2;
  const lossAt = (change: number): number => {
    const moved = Float32Array.from(data, (value, i) => value + change * direction[i]!);
    return runEager("cpu", opCase, new Map([...inputs, [name, floats(shape, moved)]]))["loss"]!.data[0]!;
  };
  const gradient = runEager("cpu", opCase, inputs)[name]!.data;
  const expected = (lossAt(step) - lossAt(-step)) / (2 * step);
  return Math.abs(dot(gradient, direction) - expected) / Math.sqrt(dot(gradient, gradient) * dot(direction, direction));
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a, (value, i) => value * b[i]!).reduce((sum, product) => sum + product, 0);
}

beforeAll(async () => {
  await loadEagerBackend("tfjs-cpu", 1);
  await loadEagerBackend("tfjs-wasm", 1);
});

describe.each(cases)("$name", (opCase) => {
  const inputs = inputsOf(opCase);

  test("gradients are finite differences", () => {
    for (const name of Object.keys(opCase.trained)) {
      for (const direction of ["north", "east", "up"]) {
        expect(directionalError(opCase, inputs, name, direction), `${name}, ${direction}`).toBeLessThan(1e-3);
      }
    }
  });

  test("wasm agrees", () => {
    const [expected, actual] = [runEager("cpu", opCase, inputs), runEager("wasm", opCase, inputs)];
    for (const [name, value] of Object.entries(expected)) {
      expect(relativeError(actual[name], value), name).toBeLessThan(2e-5);
    }
  });

  test("the compiled graph agrees", async () => {
    const [expected, actual] = [runEager("cpu", opCase, inputs), await runCompiled(opCase, inputs)];
    for (const [name, value] of Object.entries(expected)) {
      expect(relativeError(actual[name], value), name).toBeLessThan(2e-5);
    }
  });
});

test("detach passes the value and no gradient", async () => {
  const opCase: OpCase = {
    name: "detach",
    trained: { a: [3] },
    run: (v) => ops.multiply(v("a"), ops.detach(v("a"))),
  };
  const inputs = inputsOf(opCase);
  const a = inputs.get("a")!.data;
  const coefficients = numbers("coefficients", [3]).data;
  const expected = floats(
    [3],
    Array.from(a, (value, i) => value * coefficients[i]!),
  );

  expect(relativeError(runEager("cpu", opCase, inputs)["a"], expected)).toBeLessThan(1e-6);
  expect(relativeError((await runCompiled(opCase, inputs))["a"], expected)).toBeLessThan(1e-6);
});

test("a text of padding alone stays finite", () => {
  const opCase: OpCase = {
    name: "padding",
    trained: { q: [1, 1, 3, 2], k: [1, 1, 3, 2], v: [1, 1, 3, 2] },
    fixed: { mask: integers([1, 3], [0, 0, 0]) },
    run: (v) => ops.attention(v("q"), v("k"), v("v"), ops.additiveMask(v("mask"), true)),
  };
  const values = Object.values(runEager("cpu", opCase, inputsOf(opCase))).flatMap(({ data }) => [...data]);

  expect(values.every(Number.isFinite)).toBe(true);
});
