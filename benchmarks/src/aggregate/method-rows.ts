import { builtinMethods } from "@fedlora/aggregators";
import { FedLoraError } from "@fedlora/core";
import { atLeast, atMost } from "../bench.js";
import type { Bar } from "../bench.js";
import { storeRound } from "./method-files.js";
import { measureRow } from "./method-row.js";
import type { MethodInput, MethodRow } from "./method-row.js";
import { scaledRun, uploadOf } from "./scaled-run.js";
import type { Scale } from "./scaled-run.js";

/** Methods that average what arrives. One layer of the model: updates of 7 MB, 1,000 of them in some ten seconds. */
const oneLayer: Scale = { rank: 32, layers: 1, widths: 1 };
const whole: Scale = { rank: 32, layers: 28, widths: 1 };
/** Methods that look at each update's products, client by client. */
const narrow: Scale = { rank: 32, layers: 1, widths: 16 };
/** Work grows by the ranks of all clients together, times the sides of the modules. */
const byColumns: Scale = { rank: 16, layers: 1, widths: 32 };
/** Work grows by the pairs of clients or of their ranks, or by every element of every client's products. */
const small: Scale = { rank: 4, layers: 1, widths: 64 };

interface Plan {
  readonly scale: Scale;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly note?: string;
}

const withoutBias = { options: { biasClients: 0 }, note: "without the bias" };

/** What differs from a plain row of its kind. */
const plans: Readonly<Record<string, Partial<Plan>>> = {
  fedavg: withoutBias,
  legend: withoutBias,
  flasc: withoutBias,
  hetlora: withoutBias,
  "q-ffl": withoutBias,
  // Its updates are R alone, rank x rank: 0.8 MB for the whole model.
  "fed-sb": { scale: whole },
  flora: { scale: byColumns },
  flexlora: { scale: byColumns },
  "fedex-lora": { scale: byColumns },
  "lora-fair": { scale: byColumns },
  "lora-lego": { ...withoutBias, scale: small },
  krum: { scale: small },
  "multi-krum": { scale: small },
  "norm-bound": { scale: small },
  "centred-clipping": { scale: small },
  "coordinate-median": { scale: small },
  "trimmed-mean": { scale: small },
  bulyan: { scale: small },
};

const allCounts = [10, 100, 1000];

export interface MethodRows {
  readonly rows: readonly MethodRow[];
  readonly bars: readonly Bar[];
}

/**
 * One row per builtin method and number of clients on one thread, from stored files. For methods that need only sums also
 * from memory, which is the sums alone, on one thread and on two, and from files in the pool on two threads. Last FlexLoRA
 * on the whole adapter in the pool.
 */
export async function measureMethods(folder: string, quick: boolean): Promise<MethodRows> {
  const rows: MethodRow[] = [];
  const counts = quick ? [10] : allCounts;
  for (const { name, capabilities } of builtinMethods.values()) {
    const isSum = capabilities.sees !== "individual-updates";
    const measure = await prepare(folder, name, { scale: isSum ? oneLayer : narrow, ...plans[name] });
    for (const clients of counts) rows.push(await measure(clients, "disk", 1));
    if (!isSum) continue;
    for (const clients of counts) rows.push(await measure(clients, "memory", 1));
    // A round of 10 is over in the time that threads take to begin.
    for (const clients of quick ? counts : counts.slice(1)) rows.push(await measure(clients, "memory", 2));
    rows.push(await measure(counts[1] ?? 10, "pool", 2));
  }
  const scale: Scale = { rank: 16, layers: quick ? 1 : 28, widths: 1 };
  const flexlora = await (await prepare(folder, "flexlora", { scale }))(10, "pool", 2);
  rows.push(flexlora);
  return { rows, bars: barsOf(rows, flexlora) };
}

type Measure = (clients: number, source: MethodInput["source"], threads: number) => Promise<MethodRow>;

async function prepare(folder: string, name: string, { scale, options = {}, note }: Plan): Promise<Measure> {
  const definition = builtinMethods.get(name);
  if (definition === undefined) throw new FedLoraError("method-unknown", `there is no method "${name}"`);
  const { spec, adapterLayout, scalings, method } = scaledRun(definition, scale, options);
  const upload = uploadOf(method, spec);
  const files = await storeRound(folder, adapterLayout, upload);
  const isSum = definition.capabilities.sees !== "individual-updates";
  return async (clients, source, threads) => {
    // Rounds of sums are short: of few clients they take milliseconds, and hundreds go by before their loops are compiled.
    const seconds = source === "memory" && clients === 10 ? 6 : 1;
    const length = !isSum || clients === 1000 ? { rounds: 1, seconds: 0 } : { rounds: 3, seconds };
    const input = { spec, adapterLayout, scalings, upload, files, clients, source, threads, isSum, ...length };
    const row = await measureRow(scale, input);
    return note === undefined ? row : { ...row, note };
  };
}

function barsOf(rows: readonly MethodRow[], flexlora: MethodRow): readonly Bar[] {
  const of = (source: MethodRow["source"], threads: number): readonly MethodRow[] =>
    rows.filter((row) => row.source === source && row.threads === threads && row !== flexlora);
  const slowest = (speed: (row: MethodRow) => number, among: readonly MethodRow[]): number =>
    Math.min(...among.map(speed)) / 1e3;
  const sums = of("memory", 1);
  const names = new Set(sums.map(({ method }) => method));
  const spreads = [...names].map((name) => {
    const peaks = of("disk", 1).flatMap((row) => (row.method === name ? [row.peakRssMb] : []));
    return Math.max(...peaks) / Math.min(...peaks);
  });
  const delays = [...of("pool", 2), flexlora].map(({ longestDelayMs = Infinity }) => longestDelayMs);
  return [
    atLeast(
      "GB/s per core from memory, slowest sum method",
      slowest((row) => row.mbPerCpuSecond, sums),
      1,
    ),
    atLeast(
      "GB/s on two cores from memory, slowest sum method",
      slowest((row) => row.mbPerSecond, of("memory", 2)),
      1.5,
    ),
    atMost("peak memory of sum methods from disk, most over fewest clients", Math.max(...spreads), 1.1),
    atMost("longest delay of the event loop while the pool aggregates, ms", Math.max(...delays), 100),
    atMost("seconds of flexlora, 10 clients, rank 16, whole adapter, two threads", flexlora.seconds, 120),
  ];
}
