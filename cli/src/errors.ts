import { FedLoraError } from "@fedlora/core";

/** What a person reads when a command fails: what went wrong, the code to look up, what to do. */
export function describeFailure(failure: unknown): string {
  if (!(failure instanceof FedLoraError))
    return `fedlora: ${failure instanceof Error ? failure.message : String(failure)}`;
  const lines = [`fedlora: ${failure.message}`, `  code:   ${failure.code}`, `  to do:  ${failure.remedy}`];
  for (const [key, value] of Object.entries(failure.details)) lines.push(`  ${key}: ${value}`);
  return lines.join("\n");
}

/** 2: the caller's mistake; 3: the other side is away or busy, the same call may work later; 1: anything else. */
export function exitCode(failure: unknown): number {
  if (!(failure instanceof FedLoraError)) return 1;
  if (failure.retryable) return 3;
  return ["INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "ALREADY_EXISTS"].includes(failure.status) ? 2 : 1;
}
