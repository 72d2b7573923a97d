import { z } from "zod";
import { runSpecSchema } from "./schema.js";

/** The part of JSON Schema (draft 2020-12) that the run spec's schema uses. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

let schema: JsonSchema | undefined;

/**
 * JSON Schema of a run spec as a person writes it, for editors and other languages. Rules between fields (a quorum not
 * above the cohort's size) are in the descriptions and in `compileRunSpec` alone.
 */
export function runSpecJsonSchema(): JsonSchema {
  schema ??= z.toJSONSchema(runSpecSchema, { io: "input" }) as JsonSchema;
  return schema;
}

export function branchesOf(node: JsonSchema): readonly JsonSchema[] {
  return node.oneOf ?? node.anyOf ?? [];
}

/** The schema of the field at a path, in the branch of each union that the value's `kind` names; undefined: none. */
export function schemaAt(path: readonly PropertyKey[], value: unknown): JsonSchema | undefined {
  let node: JsonSchema | undefined = runSpecJsonSchema();
  let current = value;
  for (const key of path) {
    const kind = (current as { kind?: unknown } | undefined)?.kind;
    const objects: JsonSchema[] = [node, ...branchesOf(node)];
    const branch = objects.find((one) => one.properties?.["kind"]?.const === kind && kind !== undefined);
    node = (branch ?? objects.find(({ properties }) => properties !== undefined) ?? node).properties?.[String(key)];
    if (node === undefined) return undefined;
    current = (current as Record<PropertyKey, unknown> | null | undefined)?.[key];
  }
  const kind = (current as { kind?: unknown } | null | undefined)?.kind;
  return branchesOf(node).find((one) => kind !== undefined && one.properties?.["kind"]?.const === kind) ?? node;
}
