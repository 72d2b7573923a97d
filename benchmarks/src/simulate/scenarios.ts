/** Scenarios of the benchmark, as a person would write them. */

/** MNIST-class: logistic regression, 10 local steps of 32, 100 clients a round, with or without a large population. */
export function digits(clients: number, rounds: number): object {
  return {
    name: "bench-digits",
    data: { kind: "mnist" },
    partition: { kind: "dirichlet", clients, alpha: 0.5, examplesPerClient: 100 },
    model: { kind: "linear" },
    testEvery: 0,
    run: {
      adapter: { rank: 8, targetModules: "all-linear" },
      rounds,
      cohort: { size: 100 },
      training: { localSteps: 10, batchSize: 32, optimizer: { kind: "sgd", learningRate: 0.2 } },
    },
  };
}

/**
 * As `digits`, on devices whose speeds differ as those of phones do (log-normal, sigma 0.5). Of equal devices all trainings of a
 * round end at one virtual moment, so the coordinator's share of the work comes after the trainers' and not beside it.
 */
export function digitsOnUnequalDevices(clients: number, rounds: number): object {
  return { ...digits(clients, rounds), devices: { speedSpread: 0.5 } };
}

/** A method that keeps tensors on every client, whose state is in files behind a cache. */
export function personalDigits(clients: number, rounds: number): object {
  const scenario = digits(clients, rounds) as { readonly run: object };
  return { ...scenario, run: { ...scenario.run, method: { name: "fedsa-lora" } } };
}

/** all-MiniLM-L6-v2 at rank 8, two local steps. */
export function mail(rounds: number): object {
  return {
    name: "bench-mail",
    data: { kind: "spam-assassin", limit: 800 },
    partition: { kind: "iid", clients: 16 },
    model: { kind: "minilm" },
    testEvery: 0,
    run: {
      task: { kind: "sequence-classification", labels: ["ham", "spam"], maxTokens: 64 },
      adapter: { rank: 8, targetModules: ["query", "value"] },
      rounds,
      cohort: { size: 8 },
      training: { localSteps: 2, batchSize: 8, optimizer: { learningRate: 0.004 } },
    },
  };
}
