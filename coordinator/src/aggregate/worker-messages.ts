import { FedLoraError } from "@fedlora/core";
import type { ErrorCode } from "@fedlora/core";
import type { AggregationJob, AggregationOutcome } from "./aggregation.js";

export interface WorkerRequest {
  readonly job: AggregationJob;
  /** For this job, the worker itself included. */
  readonly threads: number;
}

/** What crosses back from the worker: a class instance would lose its prototype, so errors travel as values. */
export type WorkerAnswer =
  | { readonly kind: "outcome"; readonly outcome: AggregationOutcome }
  | { readonly kind: "error"; readonly error: ErrorValue };

export interface ErrorValue {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: Readonly<Record<string, string>>;
  readonly stack: string | undefined;
}

export function toErrorValue(thrown: unknown): ErrorValue {
  const { code, message, details, stack } = FedLoraError.from(thrown);
  return { code, message, details, stack };
}

export function fromErrorValue({ code, message, details, stack }: ErrorValue): FedLoraError {
  return new FedLoraError(code, message, { details, cause: stack });
}
