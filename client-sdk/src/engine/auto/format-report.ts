import type { DoctorReport } from "./diagnose.js";

/** The report as lines for a terminal. */
export function formatDoctorReport({ machine, engines, choice }: DoctorReport): string {
  const rows = engines.map(({ engine, packageName, installedVersion, isAvailable, gflops, reason }) => [
    engine,
    installedVersion === undefined ? packageName : `${packageName} ${installedVersion}`,
    isAvailable ? "yes" : "no",
    gflops === undefined ? "" : gflops.toFixed(gflops < 10 ? 1 : 0),
    reason,
  ]);
  const memory = `${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB`;
  return [
    `${machine.processor}, ${machine.cores} cores, ${memory}, ${machine.platform}, Node ${machine.node}`,
    `instruction set: ${machine.instructionSet}`,
    "",
    ...table([["engine", "package", "runs", "GFLOP/s", "note"], ...rows]),
    "",
    choice === undefined ? "auto: no engine runs here" : `auto takes ${choice.engine}: ${choice.why}`,
  ].join("\n");
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      // Numbers stand right.
      .map((cell, column) => (column === 3 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}
