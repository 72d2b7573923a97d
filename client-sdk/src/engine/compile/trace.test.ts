import * as tf from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import * as ops from "../../models/ops.js";
import type { Value } from "../../models/ops.js";
import { tensorOf } from "../../models/ops/value.js";
import { simplify } from "./simplify.js";
import { trace } from "./trace.js";
import type { Trace } from "./trace.js";

function record(run: (x: Value) => Value): Trace {
  return trace({
    inputs: new Map([["x", { dtype: "float32", shape: [512, 64] }]]),
    weightShape: () => [64, 64],
    run: (input) => new Map([["y", run(input("x"))]]),
  });
}

test.each([
  ["random numbers", (x: Value) => tf.mul(tensorOf(x), tf.randomNormal([64])), "drew random numbers"],
  ["values", (x: Value) => tf.scalar(tensorOf(x).dataSync()[0] ?? 0), "read a tensor's values"],
  ["unknown kernels", (x: Value) => tf.atan(tensorOf(x)), "Atan"],
  ["large constants", () => tf.tensor(Float32Array.from({ length: 65_537 }, (_, i) => i)), "weights file"],
])("%s are refused", (_, run, message) => {
  expect(() => record(run)).toThrow(message);
  // tfjs is as it was: another trace works.
  expect(record((x) => ops.tanh(x)).graph.nodes).toHaveLength(1);
});

test("a tensor of a finished trace is refused", () => {
  let leaked: Value = tf.scalar(0);
  record((x) => {
    leaked = tf.keep(tf.exp(tensorOf(x)));
    return leaked;
  });

  expect(() => record(() => leaked)).not.toThrow();
  expect(() => tensorOf(leaked).dataSync()).toThrow();
});

test("constants of equal elements take no room", () => {
  const { graph } = record((x) => {
    const mean = (): Value => tf.mean(tf.mul(tensorOf(x), tf.ones([512, 64])));
    return ops.valueAndGradients(mean, [x]).gradients[0] ?? x;
  });

  const bytes = [...graph.initializers.values()].reduce((sum, initializer) => sum + initializer.bytes.byteLength, 0);
  expect(bytes).toBeLessThan(100);
});

test("nodes that no output needs are left out, and additions join the product before them", () => {
  const { graph, outputs } = record((x) => {
    const product = tf.matMul(tensorOf(x), tensorOf(x), true, false);
    tf.exp(product);
    return tf.add(
      tf.mul(product, 1),
      tf.tensor2d(
        Float32Array.from({ length: 4096 }, (_, i) => i),
        [64, 64],
      ),
    );
  });

  const nodes = simplify(graph, [...outputs.values()]);

  expect(graph.nodes.map(({ op }) => op)).toEqual(["Gemm", "Exp", "Add"]);
  expect(nodes.map(({ op, inputs }) => [op, inputs.length])).toEqual([["Gemm", 3]]);
});

test("an addition does not join a product that is read elsewhere", () => {
  const { graph, outputs } = record((x) => {
    const product = tf.matMul(tensorOf(x), tensorOf(x), true, false);
    return tf.mul(tf.add(product, tf.exp(product)), product);
  });

  const nodes = simplify(graph, [...outputs.values()]);

  expect(nodes.map(({ op }) => op)).toEqual(["Gemm", "Exp", "Add", "Mul"]);
});
