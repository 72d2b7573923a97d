/**
 * JSON that keeps every number: NaN, the infinities and minus zero, which JSON has no words for, become `{"$float": "NaN"}`.
 * A loss that is not finite must stay what it is, or the update would be another one than a thread returns.
 */
export function writeNumbers(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === "number" && (!Number.isFinite(item) || Object.is(item, -0))
      ? { $float: Object.is(item, -0) ? "-0" : String(item) }
      : item,
  );
}

/** The opposite; throws a SyntaxError for what is no JSON. */
export function readNumbers(text: string): unknown {
  return JSON.parse(text, (_, item: unknown) =>
    typeof item === "object" && item !== null && "$float" in item ? Number(item.$float) : item,
  );
}
