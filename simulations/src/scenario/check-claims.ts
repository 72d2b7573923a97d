import { FedLoraError, suggestion } from "@fedlora/core";
import type { Claim } from "./claim-schema.js";

/** Throws `scenario-invalid` for a claim about a variant that the scenario does not have, or about one and itself. */
export function assertClaims(claims: readonly Claim[], variants: readonly string[]): void {
  claims.forEach((claim, index) => {
    for (const field of ["of", "atLeast", "atMost"] as const) {
      const name = claim[field];
      if (typeof name !== "string" || variants.includes(name)) continue;
      const hint = suggestion(name, variants);
      refuse(index, field, `there is no variant "${name}"${hint === "" ? `; there are ${variants.join(", ")}` : hint}`);
    }
    const other = claim.atLeast ?? claim.atMost;
    if (other === claim.of) refuse(index, "of", `"${other}" is compared with itself`);
  });
}

function refuse(index: number, field: string, problem: string): never {
  const path = `claims.${index}.${field}`;
  throw new FedLoraError("scenario-invalid", `${path}: ${problem}`, { details: { path } });
}
