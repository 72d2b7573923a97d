import { branchesOf, discriminatorOf, runSpecJsonSchema } from "./json-schema.js";
import type { JsonSchema } from "./json-schema.js";

/** The text of docs/reference/run-spec.md: every field of a run spec, from the schema alone. */
export function runSpecReference(): string {
  const root = runSpecJsonSchema();
  const sections = Object.entries(root.properties ?? {}).map(([key, node]) =>
    sectionOf(key, node, isRequired(root, key)),
  );
  return `${introduction}\n${sections.join("\n")}`;
}

const introduction = `# Run spec

A run spec says everything that a person decides about a run, in YAML or JSON. It is strict: an unknown key is refused
with the nearest known one, and so is a value out of range. \`fedlora run schema\` prints the JSON Schema for editors.

This page is made from the schema by \`node scripts/gen-reference.mjs\`; do not edit it.

\`\`\`yaml
name: spam
model:
  hash: "5f4dcc3b5aa765d61d8327deb882cf995f4dcc3b5aa765d61d8327deb882cf99" # quoted: one of digits alone would be a number
task:
  kind: sequence-classification
  labels: [ham, spam]
adapter:
  rank: 8
  targetModules: [query, value]
rounds: 5
cohort:
  size: 4
\`\`\`
`;

function sectionOf(key: string, node: JsonSchema, required: boolean): string {
  const lines = fieldsOf(key, node, required).map(
    ({ path, facts, text }) => `- \`${path}\` (${facts})${text === "" ? "" : `: ${text}`}`,
  );
  return `## ${key}\n\n${lines.join("\n")}\n`;
}

interface Field {
  readonly path: string;
  readonly facts: string;
  readonly text: string;
}

function fieldsOf(path: string, node: JsonSchema, required: boolean, when = ""): Field[] {
  const facts = [typeOf(node), ...(required ? ["required"] : []), ...(when === "" ? [] : [when])].join(", ");
  const inner = (one: JsonSchema, condition: string): Field[] =>
    Object.entries(one.properties ?? {}).flatMap(([key, child]) =>
      fieldsOf(`${path}.${key}`, child, isRequired(one, key), condition),
    );
  const variants = branchesOf(node).filter(({ properties }) => properties !== undefined);
  return [
    { path, facts, text: node.description ?? "" },
    ...inner(node, when),
    ...variants.flatMap((one) => inner(one, whenOf(one))),
  ];
}

function whenOf(branch: JsonSchema): string {
  const fixed = discriminatorOf(branch);
  return fixed === undefined ? "" : `${fixed.key} ${String(fixed.value)}`;
}

function typeOf(node: JsonSchema): string {
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.enum !== undefined) return node.enum.map((value) => JSON.stringify(value)).join(" or ");
  const branches = branchesOf(node);
  if (branches.length > 0) return [...new Set(branches.map(typeOf))].join(" or ");
  if (node.items !== undefined) return `list of ${typeOf(node.items)}`;
  return node.type ?? "anything";
}

function isRequired(node: JsonSchema, key: string): boolean {
  return node.required?.includes(key) ?? false;
}
