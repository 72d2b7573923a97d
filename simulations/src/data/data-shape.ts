import type { DataSpec } from "../scenario/data-schema.js";

/** What is known of a data set before it is read. */
export interface DataShape {
  /** Numbers per example; undefined: the examples are texts. */
  readonly features: number | undefined;
  /** `unread`: there are some, in a file. */
  readonly labels: readonly string[] | "unread" | undefined;
  /** Names of the keys that `partition.kind: by-key` can take. */
  readonly keys: readonly string[] | "unread";
}

export const mnistPixels = 28 * 28;

export function dataShape(spec: DataSpec): DataShape {
  switch (spec.kind) {
    case "synthetic":
      return { features: spec.features, labels: numbered(spec.labels), keys: [] };
    case "mnist":
      return { features: mnistPixels, labels: numbered(10), keys: [] };
    case "spam-assassin":
      return { features: undefined, labels: ["ham", "spam"], keys: ["list", "domain"] };
    case "state-of-the-union":
      return { features: undefined, labels: undefined, keys: ["president", "party", "year"] };
    case "file":
      return { features: undefined, labels: spec.label === undefined ? undefined : "unread", keys: "unread" };
  }
}

/** Labels `0`, `1`, and so on. */
export function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, label) => String(label));
}
