import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import process from "node:process";

import type { ProcessTable } from "./ownership.js";

/** The processes of this machine, told apart by pid and, on Linux, by their start time. */
export const nodeProcessTable: ProcessTable = {
  self: () => ({ pid: process.pid, host: hostname(), startedAt: startTime(process.pid) }),
  isAlive: ({ pid, host, startedAt }) => {
    if (host !== hostname() || !Number.isInteger(pid) || pid < 1) return false;
    try {
      process.kill(pid, 0);
    } catch (thrown) {
      // EPERM: it exists and belongs to somebody else.
      if (!(thrown instanceof Error && "code" in thrown && thrown.code === "EPERM")) return false;
    }
    return startTime(pid) === startedAt;
  },
};

/** Field 22 of /proc/PID/stat with the boot's id, so that a pid of an earlier boot is not taken for the same process. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The command's name, field 2, may hold spaces and parentheses.
    const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
    return `${ticks}@${readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()}`;
  } catch {
    return "";
  }
}
