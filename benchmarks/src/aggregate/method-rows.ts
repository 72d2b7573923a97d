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
/** Methods that need each update work on products, which cost by the square of the widths. */
const narrow: Scale = { rank: 32, layers: 1, widths: 16 };
const whole: Scale = { rank: 32, layers: 28, widths: 1 };

interface Plan {
  readonly scale: Scale;
  readonly options?: Readonly<Record<string, unknown>>;
  /** Client counts of 10, 100 and 1,000 that are left out, and why. */
  readonly mostClients?: number;
  readonly why?: string;
  readonly note?: string;
}

const byElement = "work grows by every element of the products for each client";
const byPairs = "work grows by the pairs of clients, or by what is decomposed for each";
const byColumns = "work grows by the ranks of all clients together";

const withoutBias = { options: { biasClients: 0 }, note: "without the bias" };

/** What differs from a plain row of its kind. */
const plans: Readonly<Record<string, Partial<Plan>>> = {
  fedavg: withoutBias,
  legend: withoutBias,
  flasc: withoutBias,
  hetlora: withoutBias,
  "q-ffl": withoutBias,
  // Its updates are R alone, rank x rank: 0.8 MB for the whole model.
  "fed-sb": { scale: whole, note: "4 KB per module: what a fold costs beside its additions" },
  bulyan: { mostClients: 10, why: byElement },
  "coordinate-median": { mostClients: 10, why: byElement },
  "trimmed-mean": { mostClients: 10, why: byElement },
  krum: { mostClients: 100, why: byPairs },
  "multi-krum": { mostClients: 10, why: byPairs },
  "centred-clipping": { mostClients: 10, why: byPairs },
  "norm-bound": { mostClients: 10, why: byPairs },
  flora: { mostClients: 100, why: byColumns },
  flexlora: { mostClients: 100, why: byColumns },
  "fedex-lora": { mostClients: 100, why: byColumns },
  "lora-fair": { mostClients: 100, why: byColumns },
  "lora-lego": { ...withoutBias, mostClients: 10, why: "clusters the columns of all clients" },
};

export interface MethodRows {
  readonly rows: readonly MethodRow[];
  readonly bars: readonly Bar[];
}

/**
 * One row per builtin method and number of clients on one thread, from stored files; for methods that need only sums also
 * from memory, which is the sums alone, and in the pool on two threads. Last FlexLoRA on the whole adapter in the pool.
 */
export async function measureMethods(folder: string, quick: boolean): Promise<MethodRows> {
  const rows: MethodRow[] = [];
  for (const { name, capabilities } of builtinMethods.values()) {
    const isSum = capabilities.sees !== "individual-updates";
    const plan: Plan = { scale: isSum ? oneLayer : narrow, ...plans[name] };
    const measure = await prepare(folder, name, plan);
    const counts = [10, 100, 1000].filter((clients) => clients <= (quick ? 10 : (plan.mostClients ?? 1000)));
    for (const clients of counts) rows.push(await measure(clients, "disk", 1));
    if (!isSum) continue;
    for (const clients of counts) rows.push(await measure(clients, "memory", 1));
    rows.push(await measure(counts.at(1) ?? 10, "pool", 2));
  }
  const scale: Scale = { rank: 16, layers: quick ? 1 : 28, widths: 1 };
  const flexlora = await (await prepare(folder, "flexlora", { scale }))(10, "pool", 2);
  rows.push(flexlora);
  return { rows, bars: barsOf(rows, flexlora) };
}

type Measure = (clients: number, source: MethodInput["source"], threads: number) => Promise<MethodRow>;

async function prepare(
  folder: string,
  name: string,
  { scale, options = {}, mostClients, why, note }: Plan,
): Promise<Measure> {
  const definition = builtinMethods.get(name);
  if (definition === undefined) throw new FedLoraError("method-unknown", `there is no method "${name}"`);
  const { spec, adapterLayout, scalings, method } = scaledRun(definition, scale, options);
  const run = { spec, adapterLayout, scalings };
  const upload = uploadOf(method, spec);
  const files = await storeRound(folder, adapterLayout, upload);
  return async (clients, source, threads) => {
    const isSum = definition.capabilities.sees !== "individual-updates";
    const input = { ...run, upload, files, clients, source, threads, isSum, repeats: repeatsOf(clients, scale) };
    const row = await measureRow(scale, input);
    const notes = [note, why === undefined || clients !== mostClients ? undefined : `no more clients: ${why}`].filter(
      (text) => text !== undefined,
    );
    return notes.length === 0 ? row : { ...row, note: notes.join("; ") };
  };
}

/** A round of few updates is over before its loops are compiled. */
function repeatsOf(clients: number, scale: Scale): number {
  if (scale === oneLayer || scale === whole) return clients === 10 ? 5 : clients === 100 ? 2 : 1;
  return 1;
}

function barsOf(rows: readonly MethodRow[], flexlora: MethodRow): readonly Bar[] {
  const sums = rows.filter(({ source, method }) => source === "memory" && method !== "fed-sb");
  const pooled = rows.filter((row) => row.source === "pool");
  const shared = pooled.filter((row) => row !== flexlora && row.method !== "fed-sb");
  const slowest = (of: (row: MethodRow) => number, among: readonly MethodRow[]): number =>
    Math.min(...among.map(of)) / 1e3;
  const names = new Set(sums.map(({ method }) => method));
  const spreads = [...names].map((name) => {
    const peaks = rows.filter((row) => row.method === name && row.source === "disk").map((row) => row.peakRssMb);
    return Math.max(...peaks) / Math.min(...peaks);
  });
  const delays = pooled.map(({ longestDelayMs = Infinity }) => longestDelayMs);
  return [
    atLeast(
      "GB/s per core from memory, slowest sum method, fed-sb left out",
      slowest((row) => row.mbPerCpuSecond, sums),
      1,
    ),
    atLeast(
      "GB/s on two cores from disk, slowest sum method, fed-sb left out",
      slowest((row) => row.mbPerSecond, shared),
      1.5,
    ),
    atMost("peak memory of sum methods from disk, most over fewest clients", Math.max(...spreads), 1.1),
    atMost("longest delay of the event loop while the pool aggregates, ms", Math.max(...delays), 100),
    atMost("seconds of flexlora, 10 clients, rank 16, whole adapter, two threads", flexlora.seconds, 120),
  ];
}
