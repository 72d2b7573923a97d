import { FedLoraError } from "@fedlora/core";
import { limits } from "../limits.js";

/** The checks every converter is made of. Each names the field it refuses; none of them repairs a value. */
export function invalid(field: string, got: string, allowed: string): FedLoraError {
  return new FedLoraError("request-invalid", `${field} ${got}; it must be ${allowed}`, { details: { field } });
}

/** An integer in [min, max]; uint64 fields arrive as doubles, so what is beyond 2^53 is refused too. */
export function checkInt(value: number, field: string, min = 0, max: number = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw invalid(field, `is ${value}`, `an integer in [${min}, ${max}]`);
  }
  return value;
}

/** A finite number in [min, max]. */
export function checkFinite(value: number, field: string, min = -Number.MAX_VALUE, max = Number.MAX_VALUE): number {
  if (!Number.isFinite(value) || value < min || value > max) {
    throw invalid(
      field,
      `is ${value}`,
      min === -Number.MAX_VALUE && max === Number.MAX_VALUE ? "finite" : `in [${min}, ${max}]`,
    );
  }
  return value;
}

export function checkText(value: string, field: string, maxChars: number, minChars = 0): string {
  if (value.length < minChars || value.length > maxChars) {
    throw invalid(field, `has ${value.length} characters`, `${minChars} to ${maxChars} characters long`);
  }
  return value;
}

/** An identifier of core/ids; the message shows at most 80 characters of what came. */
export function checkId<Id extends string>(value: string, isId: (value: string) => value is Id, field: string): Id {
  if (!isId(value)) throw invalid(field, `is ${JSON.stringify(value.slice(0, 80))}`, "a valid identifier");
  return value;
}

/** Empty means absent. */
export function checkOptionalId<Id extends string>(
  value: string,
  isId: (value: string) => value is Id,
  field: string,
): Id | undefined {
  return value === "" ? undefined : checkId(value, isId, field);
}

export function checkBytes(value: Uint8Array, field: string, min: number, max: number): Uint8Array {
  if (value.byteLength < min || value.byteLength > max) {
    throw invalid(
      field,
      `has ${value.byteLength} bytes`,
      min === max ? `${min} bytes long` : `${min} to ${max} bytes long`,
    );
  }
  return value;
}

export function checkList<T, U>(
  values: readonly T[],
  field: string,
  max: number,
  convert: (value: T, field: string) => U,
): readonly U[] {
  if (values.length > max) throw invalid(field, `has ${values.length} entries`, `at most ${max} entries long`);
  return values.map((value, index) => convert(value, `${field}[${index}]`));
}

/** A map of finite numbers. The result has no prototype, so that no key of a peer means anything special. */
export function checkNumberMap(values: Readonly<Record<string, number>>, field: string): Record<string, number> {
  const entries = Object.entries(values);
  if (entries.length > limits.mapEntries) {
    throw invalid(field, `has ${entries.length} entries`, `at most ${limits.mapEntries} entries large`);
  }
  const checked = Object.create(null) as Record<string, number>;
  for (const [key, value] of entries) {
    checked[checkText(key, `a key of ${field}`, limits.keyChars, 1)] = checkFinite(value, `${field}["${key}"]`);
  }
  return checked;
}

/** A message field that the schema allows to be absent but the protocol does not. */
export function checkPresent<T>(value: T | null | undefined, field: string): T {
  if (value === null || value === undefined) throw invalid(field, "is absent", "present");
  return value;
}

export function checkOneOf<const T extends string>(value: string, allowed: readonly T[], field: string): T {
  const found = allowed.find((word) => word === value);
  if (found === undefined) throw invalid(field, `is ${JSON.stringify(value.slice(0, 80))}`, allowed.join(", "));
  return found;
}

/** A duration in milliseconds, at most 30 days. */
export const checkDuration = (value: number, field: string): number => checkInt(value, field, 0, limits.durationMs);
