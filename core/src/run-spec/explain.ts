import type { z } from "zod";
import { suggestion } from "../text/nearest.js";
import { branchesOf, discriminatorOf, runSpecJsonSchema, schemaAt } from "./json-schema.js";
import type { JsonSchema } from "./json-schema.js";

/** One problem of a spec: the field's path, and a sentence with what was got and what is allowed. */
export interface SpecProblem {
  readonly path: string;
  readonly message: string;
}

/** What is being explained: a kind of document with a schema. */
export interface ExplainedDocument {
  /** For problems of the whole: `the run spec`. */
  readonly name: string;
  readonly schema: JsonSchema;
}

/** Says what is wrong in the words of the schema's descriptions; default: of a run spec. */
export function explainIssues(
  issues: readonly z.core.$ZodIssue[],
  input: unknown,
  document: ExplainedDocument = { name: "the run spec", schema: runSpecJsonSchema() },
): SpecProblem[] {
  return issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? unknownKeys(issue.keys, issue.path, input, document)
      : [explain(issue, input, document)],
  );
}

function explain(issue: z.core.$ZodIssue, input: unknown, document: ExplainedDocument): SpecProblem {
  const path = showPath(issue.path, document);
  const value = valueAt(issue.path, input);
  const field = schemaAt(issue.path, input, document.schema);
  const names = branchNames(issue.path, input, document);
  const choices = field?.enum ?? names;
  const allowed = [
    issue.code === "custom" ? issue.message : "",
    choices === undefined ? "" : `allowed are ${choices.map(String).join(", ")}${hintOf(value, choices)}`,
    // The description of a branch that was not named says nothing about the name.
    names === undefined ? (field?.description ?? "") : "",
  ].filter((text) => text !== "");
  const got = value === undefined ? "is missing" : `got ${show(value)}`;
  // A field without a description is an element of a list or a record: zod's own words have to do.
  const rule = allowed.length === 0 ? issue.message : allowed.join("; ");
  return { path, message: `${path} ${got}: ${rule}` };
}

function hintOf(value: unknown, choices: readonly unknown[]): string {
  return typeof value === "string" ? suggestion(value, choices.map(String)) : "";
}

function unknownKeys(
  keys: readonly string[],
  path: readonly PropertyKey[],
  input: unknown,
  document: ExplainedDocument,
): SpecProblem[] {
  const known = Object.keys(schemaAt(path, input, document.schema)?.properties ?? {});
  return keys.map((key) => {
    const full = showPath([...path, key], document);
    const hint = suggestion(key, known);
    return { path: full, message: `${full} is not a field${hint === "" ? `; known are ${known.join(", ")}` : hint}` };
  });
}

/** For a `kind` or `mode` that no branch of a union has: those that there are. */
function branchNames(
  path: readonly PropertyKey[],
  input: unknown,
  { schema }: ExplainedDocument,
): readonly unknown[] | undefined {
  const names = branchesOf(schemaAt(path.slice(0, -1), input, schema) ?? {}).map(discriminatorOf);
  return names.length > 0 && names.every((fixed) => fixed !== undefined && fixed.key === path.at(-1))
    ? names.map((fixed) => fixed?.value)
    : undefined;
}

function valueAt(path: readonly PropertyKey[], input: unknown): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], input);
}

function showPath(path: readonly PropertyKey[], { name }: ExplainedDocument): string {
  return path.length === 0 ? name : path.map(String).join(".");
}

function show(value: unknown): string {
  const text = toText(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function toText(value: unknown): string {
  // JSON would print NaN and infinities as null, and throws for what it cannot hold.
  if (typeof value === "number") return String(value);
  try {
    // Undefined for functions and symbols, whatever the declared type says.
    const text: unknown = JSON.stringify(value);
    return typeof text === "string" ? text : typeof value;
  } catch {
    return typeof value;
  }
}
