import { z } from "zod";

/**
 * The run spec: everything a person decides about a run, in YAML or JSON. Strict: an unknown key is refused.
 * Every field carries a description with unit, range and default; `fedlora run schema` prints the JSON Schema.
 */
const positiveInt = z.int().min(1);
/** Milliseconds, up to a week: longer ones overflow the platform's timers. */
const duration = positiveInt.max(7 * 24 * 3_600_000);

export const taskSchema = z.discriminatedUnion("kind", [
  z
    .strictObject({
      kind: z.literal("sequence-classification").describe("One label per text, by a head on the encoder."),
      labels: z
        .array(z.string().min(1))
        .min(2)
        .max(1000)
        .describe("Label names in the order of the head's outputs; 2 to 1000, distinct."),
      positiveLabel: z.string().optional().describe("Label that F1 is reported for; default: the last label."),
      maxTokens: positiveInt
        .max(8192)
        .default(128)
        .describe("Longest input in tokens, longer ones are truncated; 1 to 8192, default 128."),
    })
    .refine(({ labels }) => new Set(labels).size === labels.length, { path: ["labels"], error: "two labels are equal" })
    .refine(({ labels, positiveLabel }) => positiveLabel === undefined || labels.includes(positiveLabel), {
      path: ["positiveLabel"],
      error: "is not among the labels",
    }),
  z.strictObject({
    kind: z.literal("causal-lm").describe("The next token, given those before it."),
    maxTokens: positiveInt.max(8192).default(256).describe("Longest sequence in tokens; 1 to 8192, default 256."),
    maskPrompt: z
      .boolean()
      .default(true)
      .describe("Take the loss on completion tokens only where an example has a prompt; default true."),
  }),
]);

const initExamples = positiveInt.max(1_000_000);
const initSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("seeded").describe("A Kaiming-uniform, B zero, from the training seed and each tensor's name."),
  }),
  z.strictObject({
    kind: z
      .literal("gradient")
      .describe("LoRA-SB: from the clients' gradient sketches, in round 1, which trains nothing; latent adapters."),
    examples: initExamples.default(128).describe("Examples per client for the gradient; at least 1, default 128."),
    step: z
      .number()
      .positive()
      .max(1)
      .default(5e-4)
      .describe("Size of the simulated first step, lr / (warm-up share x steps); above 0, at most 1, default 5e-4."),
    sign: z
      .boolean()
      .default(true)
      .describe("Take the signs of the gradient, as AdamW's first step does; default true."),
  }),
  z.strictObject({
    kind: z
      .literal("activation")
      .describe("EVA: A from the main directions of the modules' inputs, by subspace iteration over the clients."),
    examples: initExamples.default(128).describe("Examples per client; at least 1, default 128."),
    iterations: positiveInt.max(20).default(3).describe("Rounds spent, which train nothing; 1 to 20, default 3."),
  }),
  z.strictObject({
    kind: z.literal("file").describe("An adapter made beforehand, such as PiSSA's, given when the run is created."),
    hash: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .describe("Content hash of the adapter's safetensors file, 64 hex digits."),
    subtracted: z
      .boolean()
      .default(false)
      .describe("PiSSA: the adapter's starting product is subtracted from the base weights; default false."),
  }),
]);

export const adapterSchema = z
  .strictObject({
    rank: positiveInt.max(256).describe("LoRA rank r of every adapted module; 1 to 256. No default."),
    alpha: z
      .number()
      .positive()
      .optional()
      .describe("LoRA alpha; scaling is alpha / rank, or alpha / sqrt(rank) with rslora. Above 0; default: 2 x rank."),
    variant: z
      .enum(["lora", "latent", "vera"])
      .default("lora")
      .describe(
        "Form of the adapter: lora B A; latent B R A with frozen B and A and a trained R (LoRA-XS, LoRA-SB); vera diag(b) B diag(d) A with frozen shared B and A; default lora.",
      ),
    init: initSchema.prefault({ kind: "seeded" }).describe("How the adapter of round 0 is made; default seeded."),
    rslora: z.boolean().default(false).describe("Rank-stabilised scaling (alpha / sqrt(rank)); default false."),
    dropout: z
      .number()
      .min(0)
      .max(0.9)
      .default(0)
      .describe("Dropout probability on the adapter's input while training; 0 to 0.9, default 0."),
    targetModules: z
      .union([z.array(z.string().min(1)).min(1), z.string().min(1)])
      .describe(
        "PEFT's target_modules: a list of name suffixes, one regular expression for the whole name, or `all-linear`.",
      ),
    layers: z
      .array(z.int().min(0))
      .optional()
      .describe(
        "PEFT's layers_to_transform: indices, from 0, of the layers to adapt; with a list of targetModules; default: all.",
      ),
    rankPattern: z
      .record(z.string(), positiveInt.max(256))
      .default({})
      .describe(
        "PEFT's rank_pattern: rank (1 to 256) by a pattern for the end of a module's name, the first in sorted order counts; default {}.",
      ),
    alphaPattern: z
      .record(z.string(), z.number().positive())
      .default({})
      .describe("PEFT's alpha_pattern: alpha (above 0) by pattern, as in rankPattern; default {}."),
    modulesToSave: z
      .array(z.string().min(1))
      .optional()
      .describe(
        "Modules trained in full and saved with the adapter; default: the task's head (`classifier`), none for language modelling.",
      ),
  })
  .refine(({ layers, targetModules }) => layers === undefined || typeof targetModules !== "string", {
    path: ["layers"],
    error: "goes with a list of targetModules, not with a text",
  });

export const trainingSchema = z
  .strictObject({
    localSteps: positiveInt
      .max(1_000_000)
      .optional()
      .describe("Optimizer steps per round, 1 to 1000000; give this or localEpochs, not both; default: unset."),
    localEpochs: positiveInt
      .max(1000)
      .optional()
      .describe("Passes over the client's data per round, 1 to 1000; default 1 when localSteps is absent."),
    batchSize: positiveInt.max(4096).default(8).describe("Examples per micro-batch; 1 to 4096, default 8."),
    gradientAccumulation: positiveInt
      .max(1024)
      .default(1)
      .describe("Micro-batches per optimizer step; 1 to 1024, default 1."),
    optimizer: z
      .strictObject({
        kind: z
          .enum(["adamw", "sgd"])
          .default("adamw")
          .describe("adamw (Loshchilov and Hutter 2019), or sgd, plain or with momentum; default adamw."),
        momentum: z.number().min(0).lt(1).default(0).describe("Momentum of sgd; 0 to below 1, default 0."),
        learningRate: z
          .number()
          .positive()
          .max(1)
          .default(5e-4)
          .describe("Peak learning rate; above 0, at most 1, default 5e-4."),
        headLearningRate: z
          .number()
          .positive()
          .max(1)
          .optional()
          .describe("Learning rate of the modules to save; above 0, at most 1, default: learningRate."),
        loraPlusRatio: z
          .number()
          .positive()
          .max(1000)
          .default(1)
          .describe("LoRA+ (Hayou et al. 2024): learning rate of B over that of A; above 0, at most 1000, default 1."),
        beta1: z.number().min(0).lt(1).default(0.9).describe("Decay of the first moment; 0 to below 1, default 0.9."),
        beta2: z
          .number()
          .min(0)
          .lt(1)
          .default(0.999)
          .describe("Decay of the second moment; 0 to below 1, default 0.999."),
        epsilon: z
          .number()
          .positive()
          .default(1e-8)
          .describe("Added to the root of the second moment; above 0, default 1e-8."),
        weightDecay: z
          .number()
          .min(0)
          .max(1)
          .default(0.01)
          .describe("Decoupled weight decay on matrices, not on biases; 0 to 1, default 0.01."),
      })
      .prefault({})
      .describe("How the trained tensors move."),
    schedule: z
      .strictObject({
        kind: z
          .enum(["constant", "linear", "cosine"])
          .default("constant")
          .describe("Learning rate over the whole run's steps; default constant."),
        warmupSteps: z
          .int()
          .min(0)
          .default(0)
          .describe("Linear warm-up from 0 over this many steps of the run; at least 0, default 0."),
      })
      .prefault({})
      .describe("How the learning rate moves."),
    proximalMu: z
      .number()
      .positive()
      .optional()
      .describe("FedProx: weight of the pull to the received adapter, (mu / 2) x distance^2; above 0, default: unset."),
    controlVariates: z
      .boolean()
      .default(false)
      .describe("SCAFFOLD: correct the clients' drift by control variates; needs sgd without momentum; default false."),
    maxGradNorm: z
      .number()
      .positive()
      .nullable()
      .default(1)
      .describe("Clip the global L2 norm of the gradients to this; above 0, null switches it off, default 1."),
    memory: z
      .enum(["plain", "recompute"])
      .default("plain")
      .describe("recompute: halve the activations for about 40 % more time; default plain."),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(0)
      .describe("Seed of initialisation, shuffling and dropout; 0 to 4294967295, default 0."),
  })
  .refine(({ localSteps, localEpochs }) => localSteps === undefined || localEpochs === undefined, {
    path: ["localEpochs"],
    error: "give localSteps or localEpochs, not both",
  });

const serverRate = (value: number) =>
  z.number().positive().max(100).default(value).describe(`Server learning rate; above 0, default ${value}.`);
const serverBeta = (value: number, what: string) =>
  z.number().min(0).lt(1).default(value).describe(`Decay of the ${what} moment; 0 to below 1, default ${value}.`);
const serverTau = z.number().positive().default(1e-3).describe("Added to the root; above 0, default 1e-3.");
const serverOptimizerSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("none").describe("The aggregated change is added as it is.") }),
  z.strictObject({
    kind: z.literal("fedavgm").describe("Server momentum (Hsu et al. 2019)."),
    learningRate: serverRate(1),
    momentum: z.number().min(0).lt(1).default(0.9).describe("Momentum; 0 to below 1, default 0.9."),
  }),
  z.strictObject({
    kind: z.literal("fedadagrad").describe("Reddi et al. 2021."),
    learningRate: serverRate(0.1),
    beta1: serverBeta(0, "first"),
    tau: serverTau,
  }),
  z.strictObject({
    kind: z.literal("fedadam").describe("Reddi et al. 2021, without bias correction."),
    learningRate: serverRate(0.1),
    beta1: serverBeta(0.9, "first"),
    beta2: serverBeta(0.99, "second"),
    tau: serverTau,
  }),
  z.strictObject({
    kind: z.literal("fedyogi").describe("Reddi et al. 2021."),
    learningRate: serverRate(0.01),
    beta1: serverBeta(0.9, "first"),
    beta2: serverBeta(0.99, "second"),
    tau: serverTau,
  }),
]);

export const runSpecSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,62}$/)
      .describe("The run's name: lower-case letters, digits and hyphens, at most 63 characters."),
    model: z
      .strictObject({
        hash: z
          .string()
          .regex(/^[0-9a-f]{64}$/)
          .describe("Content hash of the base model, 64 hex digits; `fedlora model inspect FOLDER` prints it."),
      })
      .describe("The frozen base model, which every client holds."),
    task: taskSchema.describe("What the model learns to do."),
    adapter: adapterSchema.describe("The LoRA adapter: which modules get one, and how large."),
    method: z
      .strictObject({
        name: z
          .string()
          .default("fedavg")
          .describe("Aggregation method; `fedlora methods` lists them; default fedavg."),
        options: z.record(z.string(), z.unknown()).default({}).describe("The method's own options; default {}."),
      })
      .prefault({})
      .describe("How updates become the next global adapter."),
    rounds: positiveInt.max(100_000).describe("Rounds to run; 1 to 100000. No default."),
    cohort: z
      .strictObject({
        size: positiveInt.max(100_000).describe("Clients wanted per round; 1 to 100000. No default."),
        overSelection: z
          .number()
          .min(1)
          .max(3)
          .default(1)
          .describe("Plans issued = size x this, rounded up; 1 to 3, default 1."),
        quorum: positiveInt
          .optional()
          .describe("Updates needed to close a round at its deadline; 1 to size, default: half of size, rounded up."),
        seed: z
          .int()
          .min(0)
          .max(2 ** 32 - 1)
          .default(0)
          .describe("Seed of cohort selection; 0 to 4294967295, default 0."),
      })
      .refine(({ size, quorum }) => quorum === undefined || quorum <= size, {
        path: ["quorum"],
        error: "is larger than cohort.size",
      })
      .describe("Who takes part in a round."),
    deadlines: z
      .strictObject({
        enrolMs: duration
          .default(600_000)
          .describe(
            "Longest wait for enough clients before a round starts, in milliseconds up to a week; default 600000.",
          ),
        roundMs: duration
          .default(1_800_000)
          .describe("From a plan's issue to the close of training, in milliseconds up to a week; default 1800000."),
        evaluationMs: duration
          .default(600_000)
          .describe("Longest federated evaluation, in milliseconds up to a week; default 600000."),
        silenceMs: duration
          .default(120_000)
          .describe(
            "A client not heard of for this long loses its slot, which is refilled; in milliseconds up to a week, default 120000.",
          ),
      })
      .prefault({})
      .describe("Every wait ends."),
    training: trainingSchema.prefault({}).describe("What a client does in a round."),
    weighting: z
      .discriminatedUnion("kind", [
        z.strictObject({ kind: z.literal("uniform").describe("Every client counts the same.") }),
        z.strictObject({
          kind: z.literal("by-examples").describe("A client counts by the examples it trained on."),
          maxExamples: positiveInt
            .default(1_000_000)
            .describe("Cap on the examples one client may count with; at least 1, default 1000000."),
        }),
      ])
      .prefault({ kind: "by-examples" })
      .describe("How contributions are weighted; default by-examples."),
    evaluation: z
      .strictObject({
        every: z.int().min(0).default(1).describe("Federated evaluation after every n-th round; 0 never, default 1."),
        metric: z
          .enum(["loss", "accuracy", "f1"])
          .default("loss")
          .describe(
            "Metric of the best-round checkpoint and of early stopping; accuracy and f1 need a classification task; default loss.",
          ),
        target: z
          .number()
          .optional()
          .describe(
            "Stop when the metric reaches this (at or below for loss in nats, at or above for accuracy and f1, 0 to 1); default: unset.",
          ),
      })
      .prefault({})
      .describe("How the global adapter is measured on the clients' held-out data."),
    limits: z
      .strictObject({
        maxUpdateNorm: z
          .number()
          .positive()
          .optional()
          .describe("Refuse updates with a larger L2 norm of all deltas; above 0, default: unset."),
      })
      .prefault({})
      .describe("What an update may hold."),
    codec: z
      .string()
      .regex(/^(f32|f16|bf16|int8(:[1-9][0-9]{0,4})?|topk:(0?\.(?!0+$)[0-9]{1,6}|1))$/)
      .default("f32")
      .describe(
        "Coding of updates on the wire: f32, f16, bf16, int8:BLOCK (values per scale, default 64), topk:DENSITY (share of values kept, 0.000001 to 1); default f32.",
      ),
    errorFeedback: z
      .boolean()
      .default(true)
      .describe("With int8 and topk, clients add what coding lost to their next update; default true."),
    rankPlan: z
      .discriminatedUnion("kind", [
        z.strictObject({ kind: z.literal("uniform").describe("Every client trains the adapter's full rank.") }),
        z.strictObject({
          kind: z
            .literal("capability")
            .describe("A client trains the largest power of two that its own rank limit and the adapter's rank allow."),
        }),
      ])
      .prefault({ kind: "uniform" })
      .describe("Which rank each client trains; default uniform."),
    serverOptimizer: serverOptimizerSchema
      .prefault({ kind: "none" })
      .describe("What the coordinator does with the aggregated change (FedOpt); default none: adds it."),
    policy: z
      .discriminatedUnion("kind", [
        z.strictObject({ kind: z.literal("synchronous").describe("A round ends with its cohort's updates.") }),
        z.strictObject({
          kind: z.literal("buffered").describe("FedBuff: a round ends with every `bufferSize` updates, stale ones too."),
          bufferSize: positiveInt.max(100_000).describe("Updates per round; 1 to 100000. No default."),
          maxStaleness: z
            .int()
            .min(0)
            .max(1000)
            .default(10)
            .describe("Oldest update that counts, in rounds; 0 to 1000, default 10."),
        }),
      ])
      .prefault({ kind: "synchronous" })
      .describe("When a round ends; default synchronous."),
    keepUpdates: z
      .boolean()
      .default(false)
      .describe("Keep individual updates after their round's commit; default false: they are deleted."),
  })
  .refine(({ task, evaluation }) => evaluation.metric === "loss" || task.kind === "sequence-classification", {
    path: ["evaluation", "metric"],
    error: "needs a classification task",
  })
  .refine(
    ({ evaluation: { metric, target } }) => target === undefined || (target >= 0 && (metric === "loss" || target <= 1)),
    { path: ["evaluation", "target"], error: "is out of the metric's range" },
  );

/** As written, before defaults. */
export type RunSpecInput = z.input<typeof runSpecSchema>;
/** Validated, with defaults; `compileRunSpec` also fills in those that depend on other fields. */
export type RunSpec = z.output<typeof runSpecSchema>;
export type TaskSpec = z.output<typeof taskSchema>;
export type AdapterSpec = z.output<typeof adapterSchema>;
export type TrainingSpec = z.output<typeof trainingSchema>;
export type InitSpec = z.output<typeof initSchema>;
export type ServerOptimizerSpec = z.output<typeof serverOptimizerSchema>;
