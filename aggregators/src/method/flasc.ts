import { z } from "zod";
import type { ClientCapability, Method, MethodDefinition, MethodRun } from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import { biasClientsSchema } from "../primitive/factor-bias.js";
import { meanAggregation } from "../primitive/mean-aggregation.js";
import { deltaInstruction, rolesOf, shared } from "../primitive/method-parts.js";
import { usualMethod } from "../primitive/usual-method.js";
import { weightedMeanPass } from "../primitive/weighted-mean.js";

const densitySchema = z.number().min(1e-6).max(1);
const optionsSchema = z.strictObject({
  download: densitySchema
    .default(0.25)
    .describe("Share of the adapter's values, the largest, that clients download; 0.000001 to 1, default 0.25."),
  upload: densitySchema
    .default(0.25)
    .describe("Share of its changes, the largest, that a client uploads; 0.000001 to 1, default 0.25."),
  tiers: z
    .array(
      z.strictObject({
        maxRank: z.int().min(1).describe("Clients whose own rank limit is at most this."),
        download: densitySchema.describe("Their download density; 0.000001 to 1."),
        upload: densitySchema.describe("Their upload density; 0.000001 to 1."),
      }),
    )
    .max(16)
    .default([])
    .describe("Other densities for weaker devices: the first tier that a client's rank limit falls under; default []."),
  biasClients: biasClientsSchema,
});
export type FlascOptions = z.output<typeof optionsSchema>;

/**
 * FLASC: a dense adapter, sparse on the wire. A client downloads the largest values of the global adapter P, chosen over
 * all tensors together, and zeros for the rest; it trains all of it, and uploads the largest of its own changes. The
 * coordinator adds the uniform mean of the changes to the dense P, or gives it to the server optimizer; a coordinate that a
 * client did not send counts as no change. What sparsity leaves out is not remembered.
 *
 * Every client lives in the same coordinates, so densities may differ by direction and by device. The masks are new in
 * every round; the paper's comparisons that freeze a mask after a dense first round, on the server or on the clients, are
 * not offered. Heads are inside the mask.
 *
 * `bias` is measured on the changes as they arrive, against the dense adapter: what averaging A and B apart misses. What
 * the masks leave out of a client's model nobody but the client sees.
 *
 * Paper: Kuo et al., "Federated LoRA with Sparse Communication" (FLASC), 2024; the same content as CELLM (Raje 2024).
 * Privacy: the mean needs only sums, but each client's mask is its own, so secure sums need dense vectors.
 */
export const flasc: MethodDefinition<FlascOptions> = {
  name: "flasc",
  version: 1,
  paper: "FLASC (Kuo et al. 2024)",
  summary: "Sends the largest values down and the largest changes up, by densities that may differ between devices.",
  optionsSchema,
  capabilities: {
    sees: "sum",
    exact: false,
    ranks: "equal",
    editsBase: false,
    toleratesStale: false,
    mergeable: true,
    personal: false,
    codecs: ["f32"],
    variants: ["lora", "rslora"],
    serverOptimizers: true,
    clientOptions: ["proximal"],
    noise: "products",
    privacyUnits: ["example", "client"],
    weightings: ["uniform"],
    evaluation: "global",
  },
  create: (options, run) => createFlasc(options, run),
};

function createFlasc({ download, upload, tiers, biasClients }: FlascOptions, run: MethodRun): Method {
  const { spec, adapterLayout } = run;
  const groups = adapterGroups(adapterLayout);
  const densitiesOf = ({ maxRank }: ClientCapability): { readonly download: number; readonly upload: number } =>
    tiers.find((tier) => maxRank !== undefined && maxRank <= tier.maxRank) ?? { download, upload };
  return {
    ...usualMethod(flasc, run),
    prepare(_phase, _state, client) {
      const densities = densitiesOf(client);
      return deltaInstruction(
        rolesOf(adapterLayout, client.ranks, () => shared),
        { codec: codecFor(densities.upload), downloadCodec: codecFor(densities.download), errorFeedback: false },
      );
    },
    aggregate: (input) =>
      meanAggregation(weightedMeanPass("mean", groups, input.global), input, {
        bias: { groups, exactUpTo: biasClients, seed: spec.training.seed },
      }),
    bias: { kind: "measured", metric: "bias" },
  };
}

/** Six decimals, as codecs name densities; a density of 1 needs no index. */
function codecFor(density: number): string {
  const digits = density.toFixed(6).replace(/0+$/, "");
  return density === 1 ? "f32" : `topk:${digits}`;
}
