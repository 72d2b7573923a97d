/** One device's expected times by depth. */
export interface DeviceTimes {
  /** Decides between devices that are equally slow; unique. */
  readonly id: string;
  /** Milliseconds of a round at depth `index + 1`; never falls. */
  readonly times: readonly number[];
  /** Most layers that its memory carries; at least `minDepth`. */
  readonly maxDepth: number;
}

export interface DepthRules {
  readonly minDepth: number;
  /** The bound on the mean waiting time, given the slowest device's time; milliseconds. */
  readonly maxWaitMs: (longestMs: number) => number;
  readonly stragglers: "keep" | "set-aside";
}

/**
 * LEGEND's greedy loop. All devices begin at the most that their memory carries. While the mean time that devices wait for
 * the slowest exceeds the bound, the slowest gives up its lowest layer. A slowest device that has no layer left to give
 * ends the loop, or is set aside: it keeps its depth and the others are planned without it. Then every device takes as
 * many layers as fit into the longest time that is left, which gives back what saved no time.
 *
 * So a device's depth is the largest that fits into one common time, whatever the order of the devices: a slower one never
 * gets more layers than one that is faster at every depth and has as much memory.
 *
 * @returns depth by device id
 */
export function chooseDepths(devices: readonly DeviceTimes[], rules: DepthRules): ReadonlyMap<string, number> {
  const { minDepth, maxWaitMs, stragglers } = rules;
  const depths = new Map(devices.map(({ id, maxDepth }) => [id, maxDepth]));
  const setAside = new Set<string>();
  const steps = stepsDown(devices, minDepth);
  let longestMs = 0;
  let sumMs = devices.map((device) => timeAt(device, device.maxDepth)).reduce((sum, time) => sum + time, 0);
  for (const { device, depth } of steps) {
    longestMs = timeAt(device, depth);
    const numPlanned = devices.length - setAside.size;
    if (longestMs - sumMs / numPlanned <= maxWaitMs(longestMs)) break;
    if (depth > minDepth) {
      depths.set(device.id, depth - 1);
      sumMs += timeAt(device, depth - 1) - longestMs;
    } else if (stragglers === "set-aside") {
      setAside.add(device.id);
      sumMs -= longestMs;
    } else break;
  }
  for (const device of devices) {
    if (!setAside.has(device.id)) depths.set(device.id, fittingDepth(device, longestMs, minDepth));
  }
  return depths;
}

/**
 * What each device can do, slowest first: the one that comes next is always the slowest at the depth that it has come down
 * to, since no device gets slower by training less.
 */
function stepsDown(
  devices: readonly DeviceTimes[],
  minDepth: number,
): readonly { readonly device: DeviceTimes; readonly depth: number }[] {
  return devices
    .flatMap((device) =>
      Array.from({ length: device.maxDepth - minDepth + 1 }, (_, index) => ({ device, depth: minDepth + index })),
    )
    .sort(
      (a, b) =>
        timeAt(b.device, b.depth) - timeAt(a.device, a.depth) ||
        (a.device.id < b.device.id ? -1 : a.device.id > b.device.id ? 1 : b.depth - a.depth),
    );
}

/** The most layers whose time is within the limit, at least `minDepth`. */
export function fittingDepth(device: DeviceTimes, limitMs: number, minDepth: number): number {
  let depth = device.maxDepth;
  while (depth > minDepth && timeAt(device, depth) > limitMs) depth -= 1;
  return depth;
}

/** Mean of what each of the times falls short of the longest. */
export function meanWait(times: readonly number[]): number {
  const longest = Math.max(0, ...times);
  return times.length === 0 ? 0 : times.reduce((sum, time) => sum + (longest - time), 0) / times.length;
}

function timeAt({ times }: DeviceTimes, depth: number): number {
  return times[depth - 1] ?? Number.POSITIVE_INFINITY;
}
