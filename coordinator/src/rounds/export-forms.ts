import type { ExportForm, Method, MethodRunState } from "@fedlora/aggregators";
import { FedLoraError } from "@fedlora/core";
import type { RunId } from "@fedlora/core";

const everyForm: readonly string[] = ["peft", "stacked", "truncated", "merged"] satisfies ExportForm[];

/**
 * Refuses a form of export that would be another model than the run's, or none.
 *
 * @param baseVersion version of the base weights that the round's adapter counts on; 0: as they were downloaded
 * @throws FedLoraError `export-refused`, with the forms that are allowed
 */
export function assertExportForm(
  runId: RunId,
  form: string,
  baseVersion: number,
  method: Method,
  state: MethodRunState,
): void {
  const allowed = allowedForms(baseVersion, method, state);
  if (allowed.includes(form)) return;
  throw new FedLoraError(
    "export-refused",
    `run ${runId} cannot be exported as "${form}": ${reason(form, baseVersion, method)}; ` +
      `allowed: ${allowed.join(", ") || "nothing"}`,
    { details: { form, allowed: allowed.join(", ") } },
  );
}

function allowedForms(baseVersion: number, method: Method, state: MethodRunState): readonly string[] {
  const declared = method.exports(state);
  // What is sound as a plain adapter is sound cut to a lower rank, and merged.
  const sound = declared.includes("peft") ? new Set([...declared, "truncated", "merged"]) : new Set(declared);
  return [...sound].filter((each) => baseVersion === 0 || each !== "peft");
}

function reason(form: string, baseVersion: number, { definition }: Method): string {
  if (definition.capabilities.personal) {
    return "every client holds a model of its own (`client.model()`), there is no global adapter";
  }
  if (!everyForm.includes(form)) return "there is no such form";
  if (form === "peft" && baseVersion > 0) {
    return "its base weights were changed: a plain adapter on the original base would be another model";
  }
  if (form === "stacked") return "its base weights were not changed, so there is nothing to stack";
  return "its method does not allow it";
}
