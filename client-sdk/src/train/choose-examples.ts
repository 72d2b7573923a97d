import { FedLoraError, type RandomKey, RandomStream, type TaskSpec } from "@fedlora/core";
import type { Tokenizer } from "../models/tokenizer/tokenizer.js";
import { createExampleEncoder, type EncodedExample } from "./encode-example.js";
import type { DataSource } from "./local-trainer.js";
import { assertNotAborted, readExamples } from "./read-examples.js";

/**
 * At most `limit` training examples that have a target, drawn without replacement by `key`.
 *
 * @throws FedLoraError `data-empty`, `data-invalid`, `cancelled`
 */
export async function chooseExamples(
  request: {
    readonly data: DataSource;
    readonly task: TaskSpec;
    readonly tokenizer: Tokenizer;
    readonly key: RandomKey;
    readonly limit: number;
  },
  signal: AbortSignal,
  turn: () => Promise<void>,
): Promise<readonly EncodedExample[]> {
  const { data, task, tokenizer, key, limit } = request;
  const examples = await readExamples(data.train(signal), data.name, signal, turn);
  const encode = createExampleEncoder(task, tokenizer, data.name);
  const chosen: EncodedExample[] = [];
  for (const index of new RandomStream(key).shuffle([...examples.keys()])) {
    if (chosen.length >= limit) break;
    assertNotAborted(signal);
    const encoded = encode(examples[index], index);
    if (encoded !== undefined) chosen.push(encoded);
    await turn();
  }
  if (chosen.length === 0) throw new FedLoraError("data-empty", `no example of data set "${data.name}" has a target`);
  return chosen;
}
