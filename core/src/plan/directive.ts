/**
 * The closed, versioned vocabulary of what a client can be told beyond "train these tensors". Methods compose directives;
 * only a new directive touches client code; a client that lacks one declines with `directive-unknown`.
 */
export type Directive = ProximalDirective;

/** FedProx: adds (mu / 2) * ||w - w_received||^2 to the loss; mu > 0. */
export interface ProximalDirective {
  readonly kind: "proximal";
  readonly version: 1;
  readonly mu: number;
}

export type DirectiveKind = Directive["kind"];

/** What this build understands, sent at enrolment as `kind@version`. */
export const supportedDirectives: readonly string[] = ["proximal@1"];
