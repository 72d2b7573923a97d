import { FedLoraError, isBlobId, type BlobId, type RoundPlan } from "@fedlora/core";
import { z } from "zod";
import type { BaseDelta } from "../models/base-delta/base-delta.js";
import type { LocalTrainer } from "../train/local-trainer.js";
import type { BlobReference } from "../transport/transport.js";

const version = z.number().int().min(0);
const linkSchema = z.object({
  fromVersion: version,
  toVersion: version,
  blob: z.string().refine(isBlobId),
  size: version,
});

/** One change to the base weights of a run, and the size of its blob in bytes. */
export type BaseChainLink = z.output<typeof linkSchema>;

/** Changes to the base weights since version 0, oldest first and without a gap. */
export type BaseChain = readonly BaseChainLink[];

export const baseChainSchema = z.array(linkSchema);

/** The version that a chain leads to. */
export const versionOf = (chain: BaseChain): number => chain.at(-1)?.toVersion ?? 0;

/**
 * The whole chain to a plan's base version: the plan's own, put behind what this client knows of the run where it does not
 * begin at version 0.
 *
 * @param sizes of the plan's blobs, in bytes
 * @throws FedLoraError `request-invalid` where the plan's chain has a gap, begins where this client's does not reach, or
 *   ends at another version than the plan's
 */
export function joinBaseChain(
  known: BaseChain,
  { baseVersion, baseDeltas = [] }: Pick<RoundPlan, "baseVersion" | "baseDeltas">,
  sizes: Readonly<Record<BlobId, number>>,
): BaseChain {
  const start = baseDeltas[0]?.fromVersion ?? baseVersion;
  const before = known.filter(({ toVersion }) => toVersion <= start);
  if (versionOf(before) !== start) {
    throw invalid(`the plan's base deltas lead on from version ${start}, this client holds ${versionOf(known)}`);
  }
  const chain = [...before];
  for (const { fromVersion, toVersion, blob } of baseDeltas) {
    if (fromVersion !== versionOf(chain) || toVersion <= fromVersion) {
      throw invalid(
        `a base delta leads from version ${fromVersion} to ${toVersion} where ${versionOf(chain)} is reached`,
      );
    }
    const size = sizes[blob];
    if (size === undefined) throw invalid(`the plan does not say how large blob ${blob} is`);
    chain.push({ fromVersion, toVersion, blob, size });
  }
  if (versionOf(chain) === baseVersion) return chain;
  throw invalid(`the plan's base deltas lead to version ${versionOf(chain)}, it asks for ${baseVersion}`);
}

/**
 * The chain for a trainer, with the file of each delta that it does not hold merged already.
 *
 * @param fileOf finds a delta's file, or fetches it
 * @throws FedLoraError `directive-unknown` for a trainer that cannot change base weights, and what `fileOf` throws
 */
export async function findBaseDeltas(
  chain: BaseChain,
  trainer: Pick<LocalTrainer, "heldBaseDeltas">,
  fileOf: (blob: BlobReference) => Promise<string>,
): Promise<readonly BaseDelta[]> {
  if (chain.length === 0) return [];
  if (trainer.heldBaseDeltas === undefined) {
    const message = `base version ${versionOf(chain)} asks for changed base weights, which this client's trainer cannot do`;
    throw new FedLoraError("directive-unknown", message);
  }
  const held = await trainer.heldBaseDeltas(chain.map(({ blob }) => blob));
  const deltas: BaseDelta[] = [];
  for (const [index, { blob: id, size }] of chain.entries()) {
    deltas.push({ id, source: index < held ? undefined : await fileOf({ id, size }) });
  }
  return deltas;
}

const invalid = (message: string): FedLoraError => new FedLoraError("request-invalid", message);
