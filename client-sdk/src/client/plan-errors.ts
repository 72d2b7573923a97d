import { FedLoraError, type ErrorCode } from "@fedlora/core";

/** The round went on without this client: forget the plan and ask for the next one. */
const abandonCodes: ReadonlySet<ErrorCode> = new Set([
  "round-closed",
  "plan-unknown",
  "plan-not-yours",
  "blob-not-found",
]);

/** Nothing that this client could do with another plan would go better: the run of the client ends. */
const fatalCodes: ReadonlySet<ErrorCode> = new Set([
  "coordinator-untrusted",
  "protocol-version",
  "insecure-refused",
  "config-invalid",
]);

/** As above, found out while training. */
const fatalTrainerCodes: ReadonlySet<ErrorCode> = new Set(["engine-unavailable", "model-missing", "model-unsupported"]);

export const isAbandoned = (error: FedLoraError): boolean => abandonCodes.has(error.code);

export const isFatal = (error: FedLoraError): boolean => fatalCodes.has(error.code);

/** A plan that this client does not answer with an update; `shared` is what the coordinator is told. */
export class PlanDeclined extends Error {
  override readonly name = "PlanDeclined";
  readonly error: FedLoraError;
  readonly shared: string;
  /** Whether every other plan would end the same way. */
  readonly final: boolean;

  private constructor(error: FedLoraError, shared: string, final: boolean) {
    super(error.message, { cause: error });
    this.error = error;
    this.shared = shared;
    this.final = final;
  }

  /** For reasons that come from the plan itself or from the owner's policy. */
  static openly(error: FedLoraError): PlanDeclined {
    return new PlanDeclined(error, error.message, false);
  }

  /** For what training threw: its message may quote the owner's data, so only the code's general remedy leaves the machine. */
  static discreetly(thrown: unknown): PlanDeclined {
    const error = FedLoraError.from(thrown);
    return new PlanDeclined(error, error.remedy, fatalTrainerCodes.has(error.code));
  }
}
