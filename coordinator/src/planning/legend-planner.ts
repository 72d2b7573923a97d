import type { LegendPlanSpec } from "@fedlora/core";

import type { CapacityEstimate } from "./capacity.js";
import { chooseDepths, fittingDepth } from "./choose-depths.js";
import type { DepthRules, DeviceTimes } from "./choose-depths.js";
import { numLayers, powerOfTwo, topRanks } from "./module-ranks.js";
import type { ModuleRanks, PlannedDevice, PlannedRun, RankPlan, RankPlanner } from "./rank-planner.js";

/** What the time model needs of a device. */
interface Pace {
  readonly batches: number;
  readonly forwardMs: number;
  readonly layerMs: number;
  readonly uploadMsPerByte: number;
}

const noPace: Pace = { batches: 0, forwardMs: 0, layerMs: 0, uploadMsPerByte: 0 };

/**
 * LEGEND's planner (Liu et al. 2025): depth by device, from its measured capacity. The ranks of the layers grow towards the output
 * and are the adapter's own (`distributeRanks` in core), the same for all; a device's own rank limit cuts them.
 *
 * Time model: T(k) = batches x (forward + k x layer) + upload per byte x bytes(k), k layers trained. What a device has not
 * measured counts as the mean of the others in the request; where nobody has measured, all train as much as memory allows.
 * A client that fills a free slot gets the most layers that fit into the round's longest expected time.
 */
export function createLegendPlanner(spec: LegendPlanSpec, run: PlannedRun): RankPlanner {
  const { modules, batchesPerRound, uploadBytes } = run;
  const layers = numLayers(modules);
  const minDepth = Math.min(spec.minDepth, layers);
  const rules: DepthRules = {
    minDepth,
    maxWaitMs: (longestMs) => spec.maxWaitMs ?? spec.maxWaitShare * longestMs,
    stragglers: spec.stragglers,
  };
  const ranksAt = ({ maxRank }: PlannedDevice, depth: number): ModuleRanks | undefined =>
    topRanks(modules, depth, powerOfTwo(maxRank));
  const bytesByDepth = new Map<string, readonly number[]>();
  const bytesOf = (device: PlannedDevice): readonly number[] => {
    const key = String(powerOfTwo(device.maxRank));
    const known = bytesByDepth.get(key);
    if (known !== undefined) return known;
    const bytes = Array.from({ length: layers }, (_, index) => uploadBytes(ranksAt(device, index + 1)));
    bytesByDepth.set(key, bytes);
    return bytes;
  };
  const timesOf = (device: PlannedDevice, pace: Pace | undefined): DeviceTimes => {
    const { batches, forwardMs, layerMs, uploadMsPerByte } = pace ?? noPace;
    return {
      id: device.clientId,
      maxDepth: depthInMemory(device.capacity, { minDepth, layers, share: spec.memoryShare }),
      times: bytesOf(device).map((bytes, index) => {
        return batches * (forwardMs + (index + 1) * layerMs) + uploadMsPerByte * bytes;
      }),
    };
  };
  return {
    kind: "legend",
    needsCapacity: true,
    plan({ devices, longestMs }) {
      const paces = pacesOf(devices, batchesPerRound);
      const timed = devices.map((device, index) => timesOf(device, paces[index]));
      const depths =
        longestMs === undefined
          ? chooseDepths(timed, rules)
          : new Map(timed.map((device) => [device.id, fittingDepth(device, longestMs, minDepth)]));
      return devices.map((device, index): RankPlan => {
        const depth = depths.get(device.clientId) ?? minDepth;
        const expectedMs = paces[index] === undefined ? undefined : timed[index]?.times[depth - 1];
        return { ranks: ranksAt(device, depth), depth, expectedMs };
      });
    },
    evaluated: (device) => ranksAt(device, layers),
  };
}

/** Of each device, in order; undefined where nobody has measured anything. */
function pacesOf(
  devices: readonly PlannedDevice[],
  batchesPerRound: number | undefined,
): readonly (Pace | undefined)[] {
  // By id, so that the mean does not depend on the order in which they are asked for.
  const known = [...devices]
    .sort((a, b) => (a.clientId < b.clientId ? -1 : 1))
    .flatMap(({ capacity }) => (capacity === undefined ? [] : [capacity]));
  if (known.length === 0) return devices.map(() => undefined);
  const usual: Pace = {
    batches: batchesPerRound ?? mean(known.flatMap(({ batches }) => batches ?? [])) ?? 1,
    forwardMs: mean(known.map(({ forwardMs }) => forwardMs)) ?? 0,
    layerMs: mean(known.map(({ layerMs }) => layerMs)) ?? 0,
    uploadMsPerByte: mean(known.flatMap(({ uploadMsPerByte }) => uploadMsPerByte ?? [])) ?? 0,
  };
  return devices.map(({ capacity }) => {
    if (capacity === undefined) return usual;
    const { forwardMs, layerMs, uploadMsPerByte, batches } = capacity;
    return {
      batches: batchesPerRound ?? batches ?? usual.batches,
      forwardMs,
      layerMs,
      uploadMsPerByte: uploadMsPerByte ?? usual.uploadMsPerByte,
    };
  });
}

/** The most layers whose step fits into the device's memory; what it has not said does not limit it. */
function depthInMemory(
  capacity: CapacityEstimate | undefined,
  { minDepth, layers, share }: { readonly minDepth: number; readonly layers: number; readonly share: number },
): number {
  const { memoryBytes = null, forwardBytes = null, layerBytes = null } = capacity ?? {};
  if (memoryBytes === null || forwardBytes === null || layerBytes === null || layerBytes === 0) return layers;
  const fitting = Math.floor((share * memoryBytes - forwardBytes) / layerBytes);
  return Math.min(layers, Math.max(minDepth, fitting));
}

/** Undefined of nothing. */
function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}
