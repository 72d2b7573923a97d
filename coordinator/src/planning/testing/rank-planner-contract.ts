import { adaptedLayers } from "@fedlora/core";
import type { ClientId, ResolvedModule } from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { CapacityEstimate } from "../capacity.js";
import type { ModuleRanks, PlannedDevice, PlannedRun, RankPlanner } from "../rank-planner.js";

/** Layers of two square modules each, ranks growing towards the output, after one module outside the layers. */
export function testModules(numLayers: number, width = 64, ranks?: readonly number[]): readonly ResolvedModule[] {
  return Array.from({ length: numLayers }, (_, layer) =>
    ["query", "value"].map((kind): ResolvedModule => {
      const rank = ranks?.[layer] ?? 2 + layer;
      return { name: `layer.${layer}.${kind}`, layer, dIn: width, dOut: width, rank, alpha: rank, scaling: 1 };
    }),
  ).flat();
}

/** F32 values of A and B of every module that is held. */
export function plainUploadBytes(modules: readonly ResolvedModule[]): PlannedRun["uploadBytes"] {
  return (ranks) =>
    modules.reduce((sum, { name, rank, dIn, dOut }) => {
      return sum + 4 * (ranks === undefined ? rank : (ranks[name] ?? 0)) * (dIn + dOut);
    }, 0);
}

const ms = fc.double({ min: 0.01, max: 1e5, noNaN: true });
const bytes = fc.integer({ min: 1, max: 2 ** 40 });
export const anyCapacity: fc.Arbitrary<CapacityEstimate> = fc.record({
  forwardMs: ms,
  layerMs: fc.oneof(ms, fc.constant(0)),
  batches: fc.option(fc.integer({ min: 1, max: 1000 })),
  uploadMsPerByte: fc.option(fc.double({ min: 0, max: 10, noNaN: true })),
  memoryBytes: fc.option(bytes),
  forwardBytes: fc.option(bytes),
  layerBytes: fc.option(bytes),
  isOwn: fc.boolean(),
});

export const anyDevices: fc.Arbitrary<readonly PlannedDevice[]> = fc
  .array(
    fc.record({
      maxRank: fc.option(fc.integer({ min: 1, max: 16 }), { nil: undefined }),
      deviceClass: fc.constantFrom("", "phone", "laptop", "constructor"),
      capacity: fc.option(anyCapacity, { nil: undefined }),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((devices) => devices.map((device, index) => ({ ...device, clientId: `c-${index}` as ClientId })));

/** What every planner promises; see `rank-planner.ts`. */
export function describeRankPlanner(name: string, create: (run: PlannedRun) => RankPlanner): void {
  const modules = testModules(6);
  const layers = adaptedLayers(modules);
  const byName = new Map(modules.map((module) => [module.name, module]));
  const run: PlannedRun = { modules, batchesPerRound: undefined, uploadBytes: plainUploadBytes(modules) };
  const anyRequest = fc.record({ devices: anyDevices, longestMs: fc.option(ms, { nil: undefined }) });

  const expectHeld = (ranks: ModuleRanks | undefined, depth: number, { maxRank = Infinity }: PlannedDevice): void => {
    if (ranks === undefined) {
      expect(depth).toBe(layers.length);
      return;
    }
    const held = layers.slice(-depth).flatMap((layer) => layer.map((module) => module.name));
    expect(Object.keys(ranks)).toEqual(held);
    for (const [module, rank] of Object.entries(ranks)) {
      expect(Number.isInteger(rank) && rank >= 1 && rank <= byName.get(module)!.rank).toBe(true);
      if (maxRank !== Infinity) expect(rank).toBeLessThanOrEqual(maxRank);
    }
  };

  describe(`${name}: rank planner`, () => {
    test("each device gets whole layers from the output down, at ranks that it and the adapter allow", () => {
      fc.assert(
        fc.property(anyRequest, (request) => {
          const planner = create(run);
          const plans = planner.plan(request);
          expect(plans).toHaveLength(request.devices.length);
          request.devices.forEach((device, index) => {
            const { ranks, depth, expectedMs } = plans[index]!;
            expect(Number.isInteger(depth) && depth >= 1 && depth <= layers.length).toBe(true);
            expectHeld(ranks, depth, device);
            if (expectedMs !== undefined) expect(Number.isFinite(expectedMs) && expectedMs >= 0).toBe(true);
            expectHeld(planner.evaluated(device), layers.length, device);
          });
        }),
      );
    });

    test("a device's plan depends neither on the order of the devices nor on what was planned before", () => {
      fc.assert(
        fc.property(anyRequest, ({ devices, longestMs }) => {
          const planner = create(run);
          const plans = planner.plan({ devices, longestMs });
          const reversed = create(run).plan({ devices: [...devices].reverse(), longestMs });
          expect([...reversed].reverse()).toEqual(plans);
          expect(planner.plan({ devices, longestMs })).toEqual(plans);
        }),
      );
    });

    test("nobody to plan for is no error", () => {
      expect(create(run).plan({ devices: [], longestMs: undefined })).toEqual([]);
    });
  });
}
