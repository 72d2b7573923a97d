/** A value of a table; undefined is shown as `-`. */
export type TableCell = string | number | undefined;

export interface TableOptions {
  /** By column; default: to the right where a cell of the column is a number, to the left elsewhere. */
  readonly align?: readonly ("left" | "right" | undefined)[];
  /** A line of dashes under the header; default false. */
  readonly rule?: boolean;
  /** Spaces before each line; default 0. */
  readonly indent?: number;
}

/**
 * A plain table for a terminal: one line per row under a line of titles, two spaces between columns, each as wide as its
 * widest cell in UTF-16 code units. Cells beyond the titles are left out.
 */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly TableCell[])[],
  options: TableOptions = {},
): string {
  const shown = rows.map((row) => header.map((_, column) => String(row[column] ?? "-")));
  const widths = header.map((title, column) => Math.max(title.length, ...shown.map((row) => row[column]?.length ?? 0)));
  const isRight = header.map((_, column) => {
    const align = options.align?.[column];
    return align === undefined ? rows.some((row) => typeof row[column] === "number") : align === "right";
  });
  const pad = (cell: string, column: number): string => {
    const width = widths[column] ?? 0;
    return isRight[column] === true ? cell.padStart(width) : cell.padEnd(width);
  };
  const rule = options.rule === true ? [widths.map((width) => "-".repeat(width))] : [];
  const indent = " ".repeat(options.indent ?? 0);
  return [header, ...rule, ...shown].map((cells) => `${indent}${cells.map(pad).join("  ")}`.trimEnd()).join("\n");
}
