import { formatTable, type TableCell } from "@fedlora/core";

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

/** A table as all commands print it. */
export function table(header: readonly string[], rows: readonly (readonly TableCell[])[]): string {
  return formatTable(header, rows, { rule: true });
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
