import { formatTable } from "@fedlora/core";
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
    formatTable(["engine", "package", "runs", "GFLOP/s", "note"], rows, { align: ["left", "left", "left", "right"] }),
    "",
    choice === undefined ? "auto: no engine runs here" : `auto takes ${choice.engine}: ${choice.why}`,
  ].join("\n");
}
