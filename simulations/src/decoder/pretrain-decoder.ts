import { loadBaseModel, openModelWorkbench, saveMergedModel, type Tokenizer } from "@fedlora/client-sdk";
import { FedLoraError, randomKey, type EvaluationCounts } from "@fedlora/core";
import { replaceFile } from "@fedlora/core/node";
import { join } from "node:path";
import { addressData } from "../data/addresses.js";
import { rememberingTokenizer } from "../runtime/remembering-tokenizer.js";
import type { SmallDecoderSpec } from "../scenario/model-schema.js";
import { bigramTables } from "./bigram-tables.js";
import { learnBytePairs } from "./byte-pairs.js";
import { writeUntrainedDecoder } from "./untrained-decoder.js";
import { wholeMatrixTraining } from "./whole-matrices.js";

/** Written last into a decoder's folder. */
export const factsFile = "decoder.json";

/** Every so many-th text is not trained on, but tested on. */
const testEvery = 25;

/** What a pretrained decoder came to; beside it in a file. */
export interface DecoderFacts {
  readonly parameters: number;
  /** Mean loss in nats per token, and bits per byte, on texts of the same years that it did not read. */
  readonly loss: number;
  readonly bitsPerByte: number;
}

export interface PretrainOptions {
  readonly spec: SmallDecoderSpec;
  /** An empty folder, in which `model` is written, a Hugging Face folder with decoder.json. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly onProgress: (step: number, steps: number, loss: number) => void;
}

/**
 * Makes a decoder from State of the Union addresses: its tokens, its token tables, and its layers, whose matrices are trained
 * as a whole; token tables and norms stay as they were made. The same options give the same bits on machines of one kind.
 */
export async function pretrainDecoder(options: PretrainOptions): Promise<DecoderFacts> {
  const { spec, folder, signal } = options;
  const { pretraining } = spec;
  const key = randomKey(pretraining.seed);
  const texts = await pretrainingTexts(spec);
  const train = texts.filter((_, index) => index % testEvery > 0);
  const test = texts.filter((_, index) => index % testEvery === 0);
  if (train.length === 0) {
    const message = `model.pretraining.years ${pretraining.years.join(" to ")} hold no text to train a decoder on`;
    throw new FedLoraError("scenario-invalid", message, { details: { path: "model.pretraining.years" } });
  }

  const merges = learnBytePairs(train, spec.vocabulary);
  const size = { ...spec, vocabulary: 257 + merges.length, maxTokens: pretraining.maxTokens };
  const untrained = join(folder, "untrained");
  const empty = {
    embedding: new Float32Array(size.vocabulary * size.width),
    head: new Float32Array(size.vocabulary * size.width),
  };
  // The tokenizer is read back from its files, so that tables are made of the very tokens that a client sees.
  await writeUntrainedDecoder(untrained, size, { merges, tables: empty }, key);
  const tokenizer = rememberingTokenizer((await loadBaseModel(untrained, { cacheFolder: folder })).tokenizer);
  const tables = bigramTables(
    train.map((text) => tokenizer.encode(text, { maxTokens: pretraining.maxTokens })),
    size,
    key,
  );
  await writeUntrainedDecoder(untrained, size, { merges, tables }, key);

  const baseModel = { ...(await loadBaseModel(untrained, { cacheFolder: folder })), tokenizer };
  const workbench = openModelWorkbench({ baseModel, cacheFolder: folder, engine: { engine: "onnxruntime-cpu" } });
  try {
    const { task, adapter, instructions, start } = wholeMatrixTraining(baseModel.manifest, spec);
    const data = {
      name: "pretraining",
      train: () => train.map((text) => ({ text })),
      evaluation: () => test.map((text) => ({ text })),
    };
    const result = await workbench.trainer.train(
      { instructions, start, data, round: 1, streamKey: "pretraining", optimizerState: undefined },
      signal,
      ({ step, totalSteps, loss }) => options.onProgress(step, totalSteps, loss),
    );
    const tensors = new Map([...start, ...result.trained]);
    const counts = await workbench.trainer.evaluate({ instructions, start: tensors, data }, signal, () => undefined);
    const target = join(folder, "model");
    await saveMergedModel({
      modelFolder: untrained,
      baseModelHash: baseModel.manifest.hash,
      target,
      deltas: () => Promise.resolve([]),
      adapter: { spec: adapter, task, tensors },
      signal,
    });
    const facts = {
      parameters: baseModel.manifest.numParameters,
      loss: counts.lossSum / counts.count,
      bitsPerByte: bitsPerByte(counts, test, tokenizer, pretraining.maxTokens),
    };
    await replaceFile(join(target, factsFile), `${JSON.stringify(facts, null, 2)}\n`);
    return facts;
  } finally {
    await workbench.close();
  }
}

/** Texts as they are trained on, in the order of the addresses. */
export async function pretrainingTexts({ pretraining }: Pick<SmallDecoderSpec, "pretraining">): Promise<string[]> {
  const data = await addressData(pretraining.years);
  return Array.from({ length: data.numRows }, (_, row) => data.exampleOf(row)).flatMap((example) =>
    "text" in example ? example.text : [],
  );
}

/** Bits per byte of text that the counted tokens stand for. */
function bitsPerByte(
  { lossSum }: EvaluationCounts,
  texts: readonly string[],
  tokenizer: Tokenizer,
  maxTokens: number,
): number {
  // The first token of a text is given, not predicted.
  const bytes = texts.map((text) =>
    Buffer.byteLength(tokenizer.decode(tokenizer.encode(text, { maxTokens }).slice(1))),
  );
  return lossSum / Math.LN2 / bytes.reduce((sum, count) => sum + count, 0);
}
