import { invalid, checkText } from "./checks.js";

/** JSON inside a string field, bounded before it is parsed. */
export function parseJson(text: string, field: string, maxChars: number): unknown {
  checkText(text, field, maxChars);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw invalid(field, `is not JSON (${(error as Error).message})`, "a JSON value");
  }
}

export function parseJsonObject(text: string, field: string, maxChars: number): Record<string, unknown> {
  const value = parseJson(text, field, maxChars);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(field, "is no JSON object", "a JSON object");
  }
  return value as Record<string, unknown>;
}
