/** Text as HTML shows it. */
export function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (char) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[char] ?? char);
}

export interface HtmlColumn<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string | undefined;
  /** Numbers line up on the right. */
  readonly isNumber?: boolean;
  /** Sentences break into lines. */
  readonly isText?: boolean;
}

/** A table that scrolls by itself where the page is narrow; a column that says nothing of any row is left out. */
export function htmlTable<Row>(columns: readonly HtmlColumn<Row>[], rows: readonly Row[]): string {
  const used = columns.filter(({ cell }) => rows.some((row) => cell(row) !== undefined));
  const mark = ({ isNumber, isText }: HtmlColumn<Row>): string =>
    isNumber === true ? ' class="number"' : isText === true ? ' class="text"' : "";
  const head = used.map((column) => `<th${mark(column)}>${escaped(column.title)}</th>`).join("");
  const body = rows.map((row) => {
    const cells = used.map((column) => `<td${mark(column)}>${escaped(column.cell(row) ?? "–")}</td>`);
    return `<tr>${cells.join("")}</tr>`;
  });
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body.join("\n")}</tbody></table></div>`;
}

/** A page that needs nothing but itself. */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: #fff; color: #1c1c1c; font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 0.25rem; font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 2.2rem 0 0.6rem; font-size: 1.2rem; }
p { margin: 0 0 0.8rem; max-width: 46rem; }
.note { color: #565656; font-size: 0.9rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1.2rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.4rem; margin: 0 0 1rem; padding: 0; list-style: none; font-size: 0.95rem; }
.legend li { display: flex; align-items: center; gap: 0.45rem; }
.legend svg { width: 40px; flex: none; }
figure { margin: 0; break-inside: avoid; }
figcaption { margin-bottom: 0.3rem; font-weight: 600; font-size: 0.95rem; }
svg { display: block; width: 100%; max-width: 40rem; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.9rem 0.3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e4e4e4; white-space: nowrap; }
th { font-weight: 600; border-bottom: 2px solid #1c1c1c; }
.number { text-align: right; }
.text { white-space: normal; min-width: 14rem; }
pre { margin: 0; padding: 0.9rem; overflow-x: auto; background: #f6f6f6; font: 0.82rem/1.45 ui-monospace, monospace; }
@media (max-width: 30rem) { body { padding: 1rem; font-size: 15px; } th, td { padding-right: 0.6rem; } }
@page { size: landscape; margin: 12mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  table { font-size: 8.5pt; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
  .charts { grid-template-columns: 1fr 1fr; }
  .scroll { overflow: visible; }
  td, th { white-space: normal; }
  pre { white-space: pre-wrap; background: none; border: 1px solid #ccc; }
}
</style>
</head>
<body>
${body}
</body>
</html>
`;
}
