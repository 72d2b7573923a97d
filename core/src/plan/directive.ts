/**
 * The closed, versioned vocabulary of what a client can be told beyond "train these tensors". Methods compose directives;
 * only a new directive touches client code; a client that lacks one declines with `directive-unknown`.
 */
export type Directive =
  | ProximalDirective
  | ControlVariateDirective
  | RankPenaltyDirective
  | WarmUpDirective
  | GradientSketchDirective
  | ActivationSketchDirective
  | ReceivedLossDirective;

/** FedProx: adds (mu / 2) * ||w - w_received||^2 over the trained tensors to the loss; mu > 0. */
export interface ProximalDirective {
  readonly kind: "proximal";
  readonly version: 1;
  readonly mu: number;
}

/**
 * SCAFFOLD (Karimireddy et al. 2020, option II): every step's gradient g of a trained tensor T becomes g - c_k + c, and
 * after K steps of learning rate eta c_k' = c_k - c + (x - y) / (K eta). For each T the roles hold `server_control.T`
 * (c, downloaded) and `client_control.T` (c_k, kept for the run, zero for a newcomer; the update carries c_k' - c_k).
 * Sound with `sgd` without momentum and a constant learning rate only.
 */
export interface ControlVariateDirective {
  readonly kind: "control-variate";
  readonly version: 1;
}

/**
 * HetLoRA: adds lambda * ||B[:, t:]||_F * ||A[t:, :]||_F per adapted module to the loss, t = floor(gamma * rank) of the
 * client's own rank; lambda >= 0, 0 < gamma < 1.
 */
export interface RankPenaltyDirective {
  readonly kind: "rank-penalty";
  readonly version: 1;
  readonly lambda: number;
  readonly gamma: number;
}

/**
 * A client without kept values (a newcomer, or one that lost its state) changes only the tensors that it keeps for the
 * run (`keep: "run"`) in its first `steps` optimizer steps; steps >= 1.
 */
export interface WarmUpDirective {
  readonly kind: "warm-up";
  readonly version: 1;
  readonly steps: number;
}

/**
 * Nothing is trained: the client returns linear sketches of the mean gradient G [dOut, dIn] of the loss in each adapted
 * module's effective weight, over at most `examples` training examples. With the received A = Omega^T and B = Psi^T
 * (random, [rank, dIn] and [dOut, rank]) the update's `lora_B` is G Omega [dOut, rank] and its `lora_A` is
 * Psi G [rank, dIn], the scaling taken out. Both are linear in G, so a weighted mean over clients sketches the mean
 * gradient (Tropp et al. 2017, single-pass sketch). Updates have the form `sketch`.
 */
export interface GradientSketchDirective {
  readonly kind: "gradient-sketch";
  readonly version: 1;
  readonly examples: number;
}

/**
 * Nothing is trained: the update's `lora_A` is A X^T X / (rows of X) [rank, dIn], where X holds the inputs of the adapted
 * module at all real tokens of at most `examples` training examples: one step of distributed subspace iteration
 * (for EVA, Paischer et al. 2024). `lora_B` is not uploaded. Updates have the form `sketch`.
 */
export interface ActivationSketchDirective {
  readonly kind: "activation-sketch";
  readonly version: 1;
  readonly examples: number;
}

/** The update's metrics carry `receivedLoss`: the mean loss of the received model over at most `examples` training examples. */
export interface ReceivedLossDirective {
  readonly kind: "received-loss";
  readonly version: 1;
  readonly examples: number;
}

export type DirectiveKind = Directive["kind"];

/** What this build understands, sent at enrolment as `kind@version`. */
export const supportedDirectives: readonly string[] = [
  "proximal@1",
  "control-variate@1",
  "rank-penalty@1",
  "warm-up@1",
  "gradient-sketch@1",
  "activation-sketch@1",
  "received-loss@1",
];
