/** How commands speak: tables and sentences for people, one JSON value for programs. */
export interface Output {
  readonly json: boolean;
  print(text: string): void;
  /** On stderr: notes that are no result. */
  note(text: string): void;
}

export function createOutput(json: boolean): Output {
  return {
    json,
    print: (text) => void process.stdout.write(`${text}\n`),
    note: (text) => void process.stderr.write(`${text}\n`),
  };
}

export type Cell = string | number | undefined;

/** A plain table: numbers to the right, text to the left, two spaces between columns; `-` where there is nothing. */
export function table(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const shown = rows.map((row) => header.map((_, column) => String(row[column] ?? "-")));
  const isNumeric = header.map((_, column) => rows.some((row) => typeof row[column] === "number"));
  const widths = header.map((title, column) => Math.max(title.length, ...shown.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        isNumeric[column] === true ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return [line(header), widths.map((width) => "-".repeat(width)).join("  "), ...shown.map(line)].join("\n");
}

/** 1.2 kB, 45.4 MB; powers of ten. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit] ?? ""}`;
}

export function formatSeconds(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** A ratio or a metric with four digits, or nothing. */
export function formatMetric(value: number | undefined): string | undefined {
  return value === undefined ? undefined : value.toFixed(4);
}
