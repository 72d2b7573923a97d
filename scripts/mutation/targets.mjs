/** What mutation testing covers: code in which a wrong line would not be seen by its user. */
export const targets = [
  { name: "core-math", mutate: "core/src/math", tests: ["core/src/math"] },
  { name: "core-privacy", mutate: "core/src/privacy", tests: ["core/src/privacy"] },
  { name: "client-privacy", mutate: "client-sdk/src/privacy", tests: ["client-sdk/src/privacy"] },
];

/** Tables of other libraries' figures take minutes for each mutant and kill none that the quick tests leave. */
export const slowTests = ["**/*-references.test.ts"];

/** Share of mutants that the tests must notice. */
export const bar = 0.85;
