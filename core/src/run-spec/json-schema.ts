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

/** What tells the branches of a union apart, `kind` or `mode`: the property that a branch fixes. */
export function discriminatorOf(branch: JsonSchema): { readonly key: string; readonly value: unknown } | undefined {
  const fixed = Object.entries(branch.properties ?? {}).find(([, { const: value }]) => value !== undefined);
  return fixed === undefined ? undefined : { key: fixed[0], value: fixed[1].const };
}

/** The schema of the field at a path, in the branch of each union that the value names; undefined: none. */
export function schemaAt(
  path: readonly PropertyKey[],
  value: unknown,
  root: JsonSchema = runSpecJsonSchema(),
): JsonSchema | undefined {
  let node: JsonSchema | undefined = root;
  let current = value;
  for (const key of path) {
    const objects: JsonSchema[] = [node, ...branchesOf(node)];
    const branch = objects.find((one) => isNamed(one, current));
    const owner: JsonSchema = branch ?? objects.find(({ properties }) => properties !== undefined) ?? node;
    node = owner.properties?.[String(key)] ?? elementOf(owner);
    if (node === undefined) return undefined;
    current = (current as Record<PropertyKey, unknown> | null | undefined)?.[key];
  }
  return branchesOf(node).find((one) => isNamed(one, current)) ?? node;
}

/** Of a list, or of a record with keys of any name. */
function elementOf({ items, additionalProperties }: JsonSchema): JsonSchema | undefined {
  return items ?? (typeof additionalProperties === "object" ? additionalProperties : undefined);
}

function isNamed(branch: JsonSchema, value: unknown): boolean {
  const fixed = discriminatorOf(branch);
  return fixed !== undefined && (value as Record<string, unknown> | null | undefined)?.[fixed.key] === fixed.value;
}
