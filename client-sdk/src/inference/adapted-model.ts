/** A text's most likely label. */
export interface Classification {
  readonly label: string;
  /** Probability of `label`, 0 to 1. */
  readonly score: number;
  /** Probability of every label; they sum to 1. */
  readonly scores: Readonly<Record<string, number>>;
}

export interface InferenceOptions {
  /** Aborts between two batches, or two tokens, with `cancelled`. */
  readonly signal?: AbortSignal;
}

export interface GenerateOptions extends InferenceOptions {
  /** Most tokens to write; default 64. */
  readonly maxNewTokens?: number;
  /** Take the most likely token each time; default true. Otherwise draw from the model's distribution. */
  readonly greedy?: boolean;
  /** Divides the logits before drawing, above 0; default 1. */
  readonly temperature?: number;
  /** Seed of the draws; equal seeds give equal texts; default 0. */
  readonly seed?: number;
}

/** A base model with an adapter (or none), ready to use on this machine. Calls may run side by side. */
export interface AdaptedModel {
  /**
   * Labels of texts, in their order.
   *
   * @throws FedLoraError `model-unsupported` where the adapter was not trained to classify, `cancelled`
   */
  classify(texts: readonly string[], options?: InferenceOptions): Promise<readonly Classification[]>;
  /**
   * Sentence embeddings of length 1: the mean over the tokens of the last layer, normalized, as sentence-transformers
   * computes them. Texts are cut at the task's `maxTokens`, 256 tokens without a task.
   *
   * @throws FedLoraError `model-unsupported` for a model that gives none, `cancelled`
   */
  embed(texts: readonly string[], options?: InferenceOptions): Promise<readonly Float32Array[]>;
  /**
   * Continues a text until the model ends it, `maxNewTokens` are written or its positions are used up; returns what
   * was added. Meant for evaluation: every token costs a pass over the whole text.
   *
   * @throws FedLoraError `model-unsupported` for a model that is no language model, `data-invalid` for a prompt that
   *   leaves no room, `cancelled`
   */
  generate(prompt: string, options?: GenerateOptions): Promise<string>;
}
