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
  /** Hashes and fingerprints break anywhere. */
  readonly isCode?: boolean;
}

/**
 * A table that scrolls by itself where the page is narrow, by keyboard as well; a column that says nothing of any row is left
 * out. The first column names the row.
 *
 * @param caption for those who do not see the heading above it
 */
export function htmlTable<Row>(caption: string, columns: readonly HtmlColumn<Row>[], rows: readonly Row[]): string {
  const used = columns.filter(({ cell }) => rows.some((row) => cell(row) !== undefined));
  const head = used.map((column) => `<th scope="col"${mark(column)}>${escaped(column.title)}</th>`).join("");
  const body = rows.map((row) => {
    const cells = used.map((column, index) => {
      const text = escaped(column.cell(row) ?? "–");
      return index === 0 ? `<th scope="row"${mark(column)}>${text}</th>` : `<td${mark(column)}>${text}</td>`;
    });
    return `<tr>${cells.join("")}</tr>`;
  });
  const name = escaped(caption);
  return `<div class="scroll" role="region" aria-label="${name}" tabindex="0"><table><caption>${name}</caption><thead><tr>${head}</tr></thead><tbody>${body.join("\n")}</tbody></table></div>`;
}

function mark({ isNumber, isText, isCode }: HtmlColumn<never>): string {
  const kind = isNumber === true ? "number" : isText === true ? "text" : isCode === true ? "code" : undefined;
  return kind === undefined ? "" : ` class="${kind}"`;
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
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1.2rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.4rem; margin: 0 0 1rem; padding: 0; list-style: none; font-size: 0.95rem; }
.legend li { display: flex; align-items: center; gap: 0.45rem; }
.legend svg { width: 40px; flex: none; }
figure { margin: 0; break-inside: avoid; }
figcaption { margin-bottom: 0.3rem; font-weight: 600; font-size: 0.95rem; }
svg { display: block; width: 100%; max-width: 33rem; height: auto; }
.scroll + .note { margin-top: 0.6rem; }
.scroll { position: relative; overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid #0072b2; outline-offset: 2px; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.9rem 0.3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e4e4e4; white-space: nowrap; }
thead th { font-weight: 600; border-bottom: 2px solid #1c1c1c; vertical-align: bottom; white-space: normal; }
tbody th { font-weight: normal; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.code { white-space: normal; overflow-wrap: anywhere; }
.number { text-align: right; }
.text { white-space: normal; min-width: 14rem; }
pre { margin: 0; padding: 0.9rem; overflow-x: auto; background: #f6f6f6; font: 0.82rem/1.45 ui-monospace, monospace; }
@media (max-width: 30rem) { body { padding: 1rem; font-size: 15px; } th, td { padding-right: 0.6rem; } }
@page { size: landscape; margin: 12mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  table { font-size: 8.5pt; }
  h2, h2 + .note { break-after: avoid; }
  tr { break-inside: avoid; }
  .charts { grid-template-columns: 1fr 1fr; }
  .legend { break-inside: avoid; break-after: avoid; }
  thead { display: table-header-group; }
  .scroll { overflow: visible; }
  td, th { white-space: normal; }
  .number { white-space: nowrap; }
  tbody tr:first-child { break-before: avoid; }
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
