import type { PlanId } from "@fedlora/core";
import { TestClient } from "@fedlora/coordinator/testing";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atLeast, atMost, machine, type Bench, type BenchReport } from "../bench.js";
import { createUpdates, download, streamUp, upload } from "./bench-client.js";
import { BenchProcess, type ServerRequest } from "./server-process.js";

interface Row {
  readonly what: "durable" | "transport";
  readonly direction: "up" | "down";
  readonly rttMs: number;
  readonly mb: number;
  readonly mbPerSecond: number;
}

const oneWayMs = 10;

/**
 * What the coordinator takes in and gives out, its process apart from the clients': one 64 MB adapter at a time, hashed,
 * validated and synced (`durable`) or counted and forgotten (`transport`), on loopback and through a proxy with a round
 * trip of 20 ms; then 32 clients at once. Of each the best of the repetitions counts.
 */
export const intakeBench: Bench = {
  name: "intake",
  run: async ({ quick }) => {
    const rows = quick ? 8192 : 65_536;
    const folder = mkdtempSync(join(tmpdir(), "fedlora-intake-"));
    try {
      const results = [
        ...(await measureServer({ kind: "durable", folder: join(folder, "single"), rows, download: true }, quick)),
        ...(await measureServer({ kind: "sink", rows }, quick)),
      ];
      const many = await measureMany(join(folder, "many"), rows);
      return report(results, many);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

type Start = Exclude<ServerRequest, { readonly kind: "peak" }>;

async function measureServer(start: Start, quick: boolean): Promise<readonly Row[]> {
  const [server, proxy] = [new BenchProcess("server-child"), new BenchProcess("proxy-child")];
  try {
    const { port, blobId } = await server.ask<{ port: number; blobId: string }>(start);
    const delayed = await proxy.ask<number>({ port, delayMs: oneWayMs });
    return [
      ...(await measureLink(start, port, blobId, 0, quick ? 2 : 6)),
      ...(await measureLink(start, delayed, blobId, 2 * oneWayMs, quick ? 1 : 4)),
    ];
  } finally {
    await Promise.all([server.end(), proxy.end()]);
  }
}

async function measureLink(
  start: Start,
  port: number,
  blobId: string,
  rttMs: number,
  times: number,
): Promise<readonly Row[]> {
  const isDurable = start.kind === "durable";
  const client = isDurable ? await TestClient.enrolled(`127.0.0.1:${port}`) : new TestClient(`127.0.0.1:${port}`);
  const updates = createUpdates(start.rows, times);
  const bytes = updates[0]?.ref.size ?? 0;
  const up: number[] = [];
  const down: number[] = [];
  for (const [index, update] of updates.entries()) {
    up.push(
      await secondsOf(() =>
        isDurable ? upload(client, `p-${rttMs}-${index}` as PlanId, update) : streamUp(client, "sink", update.chunks),
      ),
    );
    down.push(await secondsOf(() => download(client, blobId, isDurable)));
  }
  client.close();
  const row = (direction: "up" | "down", seconds: readonly number[]): Row => ({
    what: isDurable ? "durable" : "transport",
    direction,
    rttMs,
    mb: bytes / 1e6,
    mbPerSecond: bytes / 1e6 / Math.min(...seconds),
  });
  return [row("up", up), row("down", down)];
}

interface Many {
  readonly clients: number;
  readonly peakRssMb: number;
  readonly mbPerSecond: number;
  readonly timesToldToWait: number;
}

async function measureMany(folder: string, rows: number): Promise<Many> {
  const clients = 32;
  const [server, crowd] = [new BenchProcess("server-child"), new BenchProcess("clients-child")];
  try {
    const { port } = await server.ask<{ port: number }>({ kind: "durable", folder, rows, download: false });
    const { seconds, waits } = await crowd.ask<{ seconds: number; waits: number }>({ port, rows, count: clients });
    const peakRssMb = await server.ask<number>({ kind: "peak" });
    return { clients, peakRssMb, mbPerSecond: (clients * rows * 1024) / 1e6 / seconds, timesToldToWait: waits };
  } finally {
    await Promise.all([server.end(), crowd.end()]);
  }
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

function report(rows: readonly Row[], many: Many): BenchReport {
  const slowest = (what: Row["what"], rttMs: number): number =>
    Math.min(...rows.filter((row) => row.what === what && row.rttMs === rttMs).map((row) => row.mbPerSecond));
  return {
    bench: "intake",
    machine: machine(),
    results: [...rows.map((row) => ({ ...row })), { what: "32 clients at once", ...many }],
    bars: [
      atLeast("durable on loopback, slower direction, MB/s", slowest("durable", 0), 150),
      atLeast("transport on loopback, slower direction, MB/s", slowest("transport", 0), 400),
      atLeast("durable at 20 ms, slower direction, MB/s", slowest("durable", 2 * oneWayMs), 60),
      atMost("peak memory with 32 clients, MB", many.peakRssMb, 350),
    ],
  };
}
