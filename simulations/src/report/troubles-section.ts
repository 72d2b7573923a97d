import { htmlTable, type HtmlColumn } from "./html.js";
import type { ScenarioSummary } from "./summary.js";

/** What was refused, declined and lost, where anything was. */
export function troublesSection({ variants, runs }: ScenarioSummary): string {
  const rows = variants.flatMap(({ variant, dropouts }) => {
    const own = runs.filter((run) => run.variant === variant);
    const count = (what: string, counts: readonly Readonly<Record<string, number>>[]) =>
      [...new Set(counts.flatMap((each) => Object.keys(each)))].map((code) => {
        const total = counts.reduce((sum, each) => sum + (each[code] ?? 0), 0);
        return { variant, what, code, count: String(total) };
      });
    return [
      ...count(
        "updates refused",
        own.map(({ refusals }) => refusals),
      ),
      ...count(
        "plans declined",
        own.map(({ declines }) => declines),
      ),
      ...(dropouts === 0 ? [] : [{ variant, what: "clients vanished", code: undefined, count: String(dropouts) }]),
    ];
  });
  if (rows.length === 0) return "";
  const columns: HtmlColumn<(typeof rows)[number]>[] = [
    { title: "variant", cell: ({ variant }) => variant },
    { title: "what", cell: ({ what }) => what },
    { title: "why", cell: ({ code }) => code },
    { title: "times", cell: ({ count }) => count, isNumber: true },
  ];
  return `<h2>Refused, declined, lost</h2>\n${htmlTable("What went wrong, over all seeds of a variant", columns, rows)}`;
}
