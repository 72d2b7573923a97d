const workspaces = "core|proto|aggregators|client-sdk|coordinator|simulations|cli|benchmarks|examples";
/** A workspace may import itself and the workspaces listed, nothing else of this repository. */
const only = (from, ...allowed) => ({
  name: `${from}-direction`,
  severity: "error",
  from: { path: `^${from}/src` },
  to: { path: `^(${workspaces})/`, pathNot: `^(${[from, ...allowed].join("|")})/` },
});
/** Only the files named may import the module. */
const onlyFrom = (name, module, files, severity = "error") => ({
  name,
  severity,
  from: { pathNot: files },
  to: { path: module },
});
module.exports = {
  forbidden: [
    {
      name: "no-circular",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    only("core"),
    only("proto", "core"),
    only("aggregators", "core"),
    only("client-sdk", "core", "proto"),
    only("coordinator", "core", "proto", "aggregators"),
    only("simulations", "core", "proto", "aggregators", "client-sdk", "coordinator"),
    only("examples", "core", "client-sdk"),
    {
      name: "core-is-pure",
      comment: "core runs in a browser; only its node entry and its tests may touch Node",
      severity: "error",
      from: { path: "^core/src", pathNot: "^core/src/(node|testing)/" },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "aggregators-are-pure",
      severity: "error",
      from: { path: "^aggregators/src", pathNot: "^aggregators/src/testing/" },
      to: { dependencyTypes: ["core"] },
    },
    onlyFrom(
      "tfjs-behind-the-waist",
      "node_modules/@tensorflow/",
      "^client-sdk/src/(models/ops|engine/compile|engine/eager)",
    ),
    onlyFrom("ort-behind-the-runtime", "node_modules/onnxruntime-", "^client-sdk/src/engine/runtime"),
    {
      name: "runtime-without-compile",
      comment: "an artifact runs without TensorFlow.js, so that a client needs only the runtime",
      severity: "error",
      from: { path: "^client-sdk/src/engine/runtime" },
      to: { path: "(^client-sdk/src/(engine/(compile|eager)|models)/)|(node_modules/@tensorflow/)" },
    },
    {
      name: "compiler-in-its-thread",
      comment: "tracing blocks an event loop; applications compile through engine/compile-in-thread.ts",
      severity: "error",
      from: { path: "^client-sdk/src", pathNot: "^client-sdk/src/engine/(compile|eager|testing)/" },
      to: {
        path: "^client-sdk/src/engine/(compile|eager)/",
        pathNot: "/compiler-thread\\.ts$",
        dependencyTypesNot: ["type-only", "dynamic-import"],
      },
    },
    onlyFrom("generated-types-behind-converters", "^proto/src/gen/", "^proto/src/"),
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)dist/|\\.test\\.ts$" },
    tsConfig: { fileName: "tsconfig.base.json" },
    enhancedResolveOptions: {
      conditionNames: ["@fedlora/source", "import", "types", "default"],
      exportsFields: ["exports"],
    },
  },
};
