/** What mutation testing covers: code in which a wrong line would not be seen by its user. */
export const targets = [
  { name: "core-math", mutate: "core/src/math/**/*.ts", tests: ["core/src/math/**/*.test.ts"] },
  // In two halves: mutants in the inner loops of the loss distributions make the accountants' tests ten times slower.
  { name: "core-privacy", mutate: "core/src/privacy/*.ts", tests: ["core/src/privacy/*.test.ts"] },
  { name: "core-privacy-pld", mutate: "core/src/privacy/pld/*.ts", tests: ["core/src/privacy/pld/*.test.ts"] },
  { name: "client-privacy", mutate: "client-sdk/src/privacy/**/*.ts", tests: ["client-sdk/src/privacy/**/*.test.ts"] },
];

/** Tables of other libraries' figures take minutes for each mutant and kill none that the quick tests leave. */
export const slowTests = ["**/*-references.test.ts"];

/** Share of mutants that the tests must notice. */
export const bar = 0.85;
