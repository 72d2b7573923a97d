import { canonicalBytes, FedLoraError } from "@fedlora/core";
import { syncFolder } from "@fedlora/core/node";
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { addressData } from "../data/addresses.js";
import type { DataSpec } from "../scenario/data-schema.js";
import type { SmallDecoderSpec } from "../scenario/model-schema.js";
import { factsFile, pretrainDecoder, type DecoderFacts } from "./pretrain-decoder.js";

/** Changes whenever the same options would make another decoder; it is part of its key. */
const recipeVersion = 1;

export interface DecoderProgress {
  say(text: string): void;
  /** `share` in 0..1. */
  preparing(share: number, text: string): void;
}

export interface EnsureDecoderOptions {
  readonly spec: SmallDecoderSpec;
  /** Decoders are kept in its folder `decoders`, each in a folder named by the hash of what it was made from. */
  readonly cacheFolder: string;
  readonly progress: DecoderProgress;
  readonly signal: AbortSignal;
}

/**
 * Folder of the scenario's decoder: from the cache, or trained now. Several processes may do this at once.
 *
 * @throws FedLoraError `scenario-invalid` where the years hold too little text, `cancelled`, and what training throws
 */
export async function ensureDecoder(options: EnsureDecoderOptions): Promise<string> {
  const { spec, cacheFolder, progress } = options;
  const { info } = await addressData(spec.pretraining.years);
  const key = createHash("sha256")
    .update(canonicalBytes({ recipeVersion, spec, data: info.sha256 }))
    .digest("hex");
  const parent = join(cacheFolder, "decoders");
  // A model is called by its folder where its config names none.
  const folder = join(parent, key, spec.kind);
  const known = await readFacts(folder);
  if (known === undefined) {
    progress.say("Training the decoder of this scenario, once for this machine");
    await mkdir(parent, { recursive: true });
    const work = join(parent, `.${key}.tmp.${randomUUID()}`);
    await mkdir(work);
    try {
      await pretrainDecoder({
        spec,
        folder: work,
        signal: options.signal,
        onProgress: (step, steps, loss) => {
          if (step > 0) progress.preparing(step / steps, `step ${step}/${steps}, loss ${loss.toFixed(3)}`);
        },
      });
      await mkdir(dirname(folder), { recursive: true });
      await publish(join(work, "model"), folder);
      await syncFolder(parent);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  const facts = known ?? (await readFacts(folder));
  if (facts === undefined) throw new FedLoraError("file-missing", `the decoder "${folder}" was removed meanwhile`);
  progress.say(describe(facts, spec));
  return folder;
}

function describe(
  { parameters, loss, bitsPerByte }: DecoderFacts,
  { pretraining: { years } }: SmallDecoderSpec,
): string {
  return `The decoder: ${parameters.toLocaleString("en")} parameters, ${loss.toFixed(3)} nats per token and ${bitsPerByte.toFixed(3)} bits per byte on unread texts of ${years.join(" to ")}`;
}

/**
 * A test on what the model has read already would say nothing.
 *
 * @throws FedLoraError `scenario-invalid` for a federation on years that the decoder is trained on
 */
export function assertUnread({ pretraining }: SmallDecoderSpec, data: DataSpec): void {
  if (data.kind !== "state-of-the-union") return;
  const [first, last] = data.years ?? [1790, 2021];
  const [from, to] = pretraining.years;
  if (first > to || last < from) return;
  throw new FedLoraError(
    "scenario-invalid",
    `data.years ${first} to ${last} and model.pretraining.years ${from} to ${to} overlap: the decoder would have read the federation's texts`,
    { details: { path: "data.years" } },
  );
}

/** Gives the finished folder its name, unless another process was first. */
async function publish(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((await readFacts(to)) === undefined) throw error;
  }
}

/** Undefined: there is no decoder. The file is written last. */
async function readFacts(folder: string): Promise<DecoderFacts | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, factsFile), "utf8")) as DecoderFacts;
  } catch {
    return undefined;
  }
}
