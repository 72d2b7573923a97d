import { formatTable } from "@fedlora/core";
import type { AuditRow } from "./run-audit.js";

/** The rows as a person reads them. */
export function auditText(rows: readonly AuditRow[]): string {
  const table = formatTable(
    ["setting", "AUC", "TPR at 1 % FPR", "epsilon at least", "epsilon promised", "size error", "of a guess"],
    rows.map((row) => [
      row.name,
      row.auc.toFixed(3),
      `${(100 * row.truePositiveRate).toFixed(1)} %`,
      row.epsilonAtLeast.toFixed(2),
      row.epsilon === null ? "none" : `${row.epsilon.toFixed(2)} (delta ${row.delta})`,
      row.sizeError.toFixed(2),
      row.sizeErrorOfGuess.toFixed(2),
    ]),
    { rule: true, align: ["left", ...Array.from({ length: 6 }, () => "right" as const)] },
  );
  return [
    "What one upload tells the coordinator, setting by setting:",
    "",
    table,
    "",
    "AUC: chance that an example that was trained on scores above one that was not; 0.5 is a coin.",
    "TPR at 1 % FPR: members found while 1 % of the others are taken for members.",
    "epsilon at least: no smaller epsilon explains the guesses, 95 % sure; promised: what the accountant proves.",
    "size error: of the data set's size, in powers of two, beside that of guessing the mean.",
  ].join("\n");
}
