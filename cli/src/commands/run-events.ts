import type { RunEventRecord } from "@fedlora/proto";

/** One line per event: time, round, kind, client and the facts of the event as `key=value`. */
export function describeEvent(event: RunEventRecord): string {
  const time = new Date(event.atMs).toISOString().slice(11, 19);
  const facts = Object.entries(event.data)
    .filter(([, value]) => typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    .map(([key, value]) => `${key}=${shortened(value as string | number | boolean)}`);
  facts.push(...depthsOf(event));
  const who = event.clientId === "" ? [] : [event.clientId.slice(0, 8)];
  return [time, `round ${event.round}`, event.kind, ...who, ...facts].join("  ");
}

function shortened(value: string | number | boolean): string {
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : value.toPrecision(5);
  const text = String(value);
  return /^[0-9a-f]{64}$/.test(text) ? text.slice(0, 12) : text;
}

/** `depths=12x2 6x3`: two clients train twelve layers, three six. */
function depthsOf({ data }: RunEventRecord): string[] {
  const cohort = Array.isArray(data["cohort"]) ? (data["cohort"] as { readonly depth?: unknown }[]) : [];
  const counts = new Map<number, number>();
  for (const { depth } of cohort) {
    if (typeof depth === "number") counts.set(depth, (counts.get(depth) ?? 0) + 1);
  }
  const groups = [...counts].sort(([a], [b]) => b - a).map(([depth, count]) => `${depth}x${count}`);
  return groups.length === 0 ? [] : [`depths=${groups.join(" ")}`];
}
