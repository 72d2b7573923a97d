import { register } from "node:module";

const hook = `export function resolve(name, context, next) {
  if (name.startsWith("@tensorflow/")) throw new Error("Cannot find package '" + name + "'");
  return next(name, context);
}`;

// The compiler thread's program on a machine where TensorFlow.js does not load.
register(`data:text/javascript,${encodeURIComponent(hook)}`);
await import("../compile/compiler-program.js");
