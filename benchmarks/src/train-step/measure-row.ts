import { systemClock, systemSecret } from "@fedlora/core";
import { EngineCore, loadBackend, nodeHost, readArtifact } from "@fedlora/client-sdk/engine";
import type { EngineBackend, EngineName } from "@fedlora/client-sdk/engine";
import { randomBatch, randomSlot } from "./random-batch.js";

export interface RowRequest {
  readonly engine: EngineName;
  readonly artifactFolder: string;
  readonly weightsFile: string;
  readonly threads: number;
  /** Steps that are timed, after one to warm up. */
  readonly steps: number;
  /** Another artifact whose steps take turns with these, so that the two can be compared. */
  readonly baselineFolder?: string;
  readonly profilePrefix?: string;
  /** Whether plain products are timed as well; default true. */
  readonly products?: boolean;
  /** The artifact's examples are clipped and their sum is noised, as in DP-SGD; default: neither. */
  readonly clipAndNoise?: boolean;
}

export interface RowMeasurement {
  readonly stepMs: number;
  /** Of all threads together, which other load on the machine lengthens less than the step. */
  readonly processorMs: number;
  readonly baselineStepMs: number | undefined;
  readonly baselineProcessorMs: number | undefined;
  /** Noise where it is asked for, clipping, AdamW and clearing: what an optimizer step adds. */
  readonly applyMs: number;
  readonly openMs: number;
  readonly gemmGflops: number;
  readonly peakRssMb: number;
  readonly loss: number;
}

/** The products that a step's rate is held against. */
const products = [
  [2048, 2048, 2048],
  [1024, 384, 1536],
] as const;

/**
 * Measures one engine on one artifact in this process, which does nothing else. Steps and products take turns, and of
 * each the best counts, so that other load on the machine hits both or neither.
 */
export async function measureRow(request: RowRequest): Promise<RowMeasurement> {
  const { engine: name, threads, weightsFile } = request;
  const backend = await loadBackend(name);
  const description = await backend.describe(name, { prepack: false });
  let openMs = Number.NaN;
  const engine = new EngineCore({
    name,
    fingerprint: description.version,
    threads,
    prepack: false,
    host: nodeHost(systemClock),
    ...(request.profilePrefix === undefined ? {} : { profilePrefix: request.profilePrefix }),
    backend: {
      open: async (opened) => {
        const start = performance.now();
        const executor = await backend.open(opened);
        openMs = performance.now() - start;
        return executor;
      },
    },
  });
  const measured = await openTrial(engine, request.artifactFolder, weightsFile, request.clipAndNoise);
  await measured.step();
  await measured.step();
  // Before the baseline's graph and the products' buffers, which are not the step's.
  const { peakRssBytes } = await engine.memory();
  const firstOpenMs = openMs;
  const baseline = request.baselineFolder && (await openTrial(engine, request.baselineFolder, weightsFile));
  if (baseline) await baseline.step();
  let gemmGflops = 0;
  for (let half = 0; half < 2; half++) {
    for (let i = 0; i < request.steps / 2; i++) {
      await measured.step();
      if (baseline) await baseline.step();
    }
    if (request.products !== false) gemmGflops = Math.max(gemmGflops, await productRate(backend, request));
  }
  await engine.close();
  return {
    ...measured.best,
    baselineStepMs: baseline ? baseline.best.stepMs : undefined,
    baselineProcessorMs: baseline ? baseline.best.processorMs : undefined,
    openMs: firstOpenMs,
    gemmGflops,
    peakRssMb: peakRssBytes / 1e6,
  };
}

interface Trial {
  readonly best: { stepMs: number; processorMs: number; applyMs: number; loss: number };
  /** One step and one optimizer step. */
  step(): Promise<void>;
}

async function openTrial(
  engine: EngineCore,
  artifactFolder: string,
  weightsFile: string,
  clipAndNoise = false,
): Promise<Trial> {
  const artifact = await readArtifact(artifactFolder);
  const slot = await engine.createSlot(randomSlot(artifact.manifest));
  const clipping = clipAndNoise ? { exampleClipping: { kind: "flat", clipNorm: 1 } as const } : {};
  const request = { slot, artifact, weightsFile, inputs: randomBatch(artifact.manifest), ...clipping };
  const { batch } = artifact.manifest.request;
  const learningRates = Object.fromEntries(
    artifact.manifest.outputs.flatMap(({ tensor }) => (tensor === undefined ? [] : [[tensor, 1e-4]])),
  );
  const none = Number.POSITIVE_INFINITY;
  const best = { stepMs: none, processorMs: none, applyMs: none, loss: Number.NaN };
  let isWarm = false;
  return {
    best,
    step: async () => {
      const before = process.cpuUsage();
      const { loss, stepMs } = await engine.accumulate(request);
      const { user, system } = process.cpuUsage(before);
      const start = performance.now();
      const noise = clipAndNoise ? { noise: { key: systemSecret(), std: 1, divisor: batch } } : {};
      await engine.apply({ slot, learningRates, maxGradNorm: 1, proximalMu: undefined, ...noise });
      best.loss = loss;
      if (isWarm) {
        best.stepMs = Math.min(best.stepMs, stepMs);
        best.processorMs = Math.min(best.processorMs, (user + system) / 1000);
        best.applyMs = Math.min(best.applyMs, performance.now() - start);
      }
      isWarm = true;
    },
  };
}

async function productRate(backend: EngineBackend, { engine, threads }: RowRequest): Promise<number> {
  let best = 0;
  for (const [m, k, n] of products) {
    const product = await backend.openProduct(engine, m, k, n, threads);
    const work = (2 * m * k * n) / 1e9;
    // About 40 GFLOP for each product; slow engines get by with less.
    const end = performance.now() + 1500;
    for (let done = 0; done < 40 && (done === 0 || performance.now() < end); done += work) {
      const start = performance.now();
      await product.run();
      best = Math.max(best, work / ((performance.now() - start) / 1000));
    }
    await product.dispose();
  }
  return best;
}
