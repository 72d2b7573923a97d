import { FedLoraError } from "../errors.js";

/** A plain value that JSON can hold; properties with the value undefined are left out. */
export type CanonicalValue =
  null | boolean | number | string | readonly CanonicalValue[] | { readonly [key: string]: CanonicalValue | undefined };

/**
 * One text per value, for hashing and signing: keys sorted by code units, no white space, numbers as JavaScript prints
 * them (the shortest that reads back; -0 is written 0), which is RFC 8785 for the values that we use.
 *
 * @throws FedLoraError `internal` for what JSON cannot hold: NaN, infinities, undefined in a list, functions, class
 *   instances, cycles. Untrusted values are parsed by a schema before they get here.
 */
export function canonicalJson(value: CanonicalValue | object): string {
  return write(value, "$", 0);
}

/** `canonicalJson` as UTF-8. */
export function canonicalBytes(value: CanonicalValue | object): Uint8Array {
  return new TextEncoder().encode(canonicalJson(value));
}

const maxDepth = 100;

function write(value: unknown, path: string, depth: number): string {
  const refuse = (what: string): never => {
    throw new FedLoraError("internal", `canonical JSON cannot hold ${what} at ${path}`);
  };
  if (depth > maxDepth) refuse(`more than ${maxDepth} levels`);
  switch (typeof value) {
    case "string":
    case "boolean":
      return JSON.stringify(value);
    case "number":
      return Number.isFinite(value) ? JSON.stringify(value) : refuse(String(value));
    case "object": {
      if (value === null) return "null";
      if (Array.isArray(value)) {
        return `[${value.map((item: unknown, i) => write(item, `${path}[${i}]`, depth + 1)).join(",")}]`;
      }
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype !== Object.prototype && prototype !== null) refuse("an instance of a class");
      const fields = Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, item]) => `${JSON.stringify(key)}:${write(item, `${path}.${key}`, depth + 1)}`);
      return `{${fields.join(",")}}`;
    }
    default:
      return refuse(typeof value);
  }
}
