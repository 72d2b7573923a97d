import { largestWeight } from "@fedlora/aggregators";
import type { ClientInstruction, ReleaseTerms } from "@fedlora/aggregators";
import { adaptedClipNorm, FedLoraError } from "@fedlora/core";

import { decideNoiseKey } from "../rounds/decide-round.js";
import type { RunDriver } from "../rounds/run-driver.js";
import type { RoundPrivacy } from "../rounds/run-events.js";
import type { RunCommand } from "../rounds/run-reducer.js";
import { clipNormRange, countNoiseOf, sumNoise } from "./privacy-terms.js";
import { exposure } from "./run-privacy.js";

const keyBytes = 32;

/**
 * What a round under client-level privacy releases; undefined in any other run. Draws the round's noise key if it has none: it is
 * durable, and named by the journal, before it is used, so that whoever aggregates the round after a crash draws the same noise.
 *
 * @param instruction what the round's plans ask for
 */
export async function releaseTerms(
  driver: RunDriver,
  command: RunCommand,
  instruction: ClientInstruction,
): Promise<ReleaseTerms | undefined> {
  const { spec, privacy } = driver.state;
  if (spec.privacy.mode !== "client" || privacy === null) return undefined;
  if (instruction.updateForm !== "delta") {
    throw new FedLoraError("internal", `updates of form "${instruction.updateForm}" have no sensitivity`);
  }
  const { clipNorm, noiseMultiplier } = privacy;
  return {
    layout: instruction.roles.filter(({ uploaded }) => uploaded).map((role) => role.spec),
    clipNorm,
    noiseStd: sumNoise(spec, noiseMultiplier, clipNorm),
    expected: spec.cohort.size,
    largestWeight: largestWeight(spec.weighting),
    key: await noiseKeyOf(driver, command),
    countNoise: countNoiseOf(spec),
  };
}

async function noiseKeyOf(driver: RunDriver, command: RunCommand): Promise<Uint8Array> {
  const { secrets, secretBytes, randomBytes, clock } = driver.parts;
  if (driver.state.privacy?.noiseKey === null) {
    const name = `noise-${Buffer.from(randomBytes(12)).toString("hex")}`;
    await secrets.put(name, secretBytes(keyBytes));
    await driver.commit((state) => decideNoiseKey(state, command, name, clock.now()));
  }
  const { privacy, round } = driver.state;
  const name = privacy?.noiseKey ?? null;
  const key = name === null ? undefined : await secrets.read(name);
  if (key?.byteLength === keyBytes) return key;
  const message =
    `the noise key of round ${round} is gone, and another one would release the round twice; ` +
    "resume the run to begin the round anew, which costs as much again";
  throw new FedLoraError("round-failed", message);
}

/** What the commit of a round says about its privacy; nothing in a run without. */
export function roundPrivacy(
  { account, state }: RunDriver,
  unclippedShare: number | undefined,
): { readonly privacy?: RoundPrivacy } {
  const { privacy } = state;
  if (account === undefined || privacy === null) return {};
  const { clipNorm } = privacy;
  const facts = { epsilon: account.bound(exposure(privacy)).epsilon, clipNorm };
  if (account.privacy.mode !== "client" || account.privacy.clipping.kind === "fixed" || unclippedShare === undefined) {
    return { privacy: { ...facts, nextClipNorm: clipNorm } };
  }
  const first = account.privacy.clipNorm;
  const adapted = adaptedClipNorm(clipNorm, unclippedShare, account.privacy.clipping);
  const nextClipNorm = Math.min(first * clipNormRange, Math.max(first / clipNormRange, adapted));
  return { privacy: { ...facts, nextClipNorm, unclippedShare } };
}
