import { createReadStream } from "node:fs";
import { access } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { DataSource, Example } from "@fedlora/client-sdk";
import { FedLoraError } from "@fedlora/core";
import { z } from "zod";

const exampleSchema = z.union([
  z.object({ text: z.string(), label: z.union([z.string(), z.int()]) }),
  z.object({ prompt: z.string(), completion: z.string() }),
  z.object({ text: z.string() }),
]);

/** Examples from JSON lines, read lazily: `{"text", "label"}`, `{"text"}` or `{"prompt", "completion"}` per line. */
export async function* readExamples(path: string): AsyncGenerator<Example> {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity });
  let number = 0;
  for await (const line of lines) {
    number++;
    if (line.trim() === "") continue;
    yield parseExample(line, `${path}:${number}`);
  }
}

function parseExample(line: string, where: string): Example {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new FedLoraError("data-invalid", `${where} is not JSON`, { cause });
  }
  const parsed = exampleSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new FedLoraError("data-invalid", `${where} must have "text" and "label", "prompt" and "completion", or "text"`);
}

/** A data source over files; checks at once that they are there. */
export async function fileDataSource(options: {
  readonly train: string;
  readonly evaluation: string | undefined;
  readonly name: string;
}): Promise<DataSource> {
  for (const path of [options.train, options.evaluation]) {
    if (path === undefined) continue;
    await access(path).catch((cause: unknown) => {
      throw new FedLoraError("file-missing", `data file "${path}" does not exist`, { cause });
    });
  }
  const { train, evaluation } = options;
  return {
    name: options.name,
    train: () => readExamples(train),
    ...(evaluation === undefined ? {} : { evaluation: () => readExamples(evaluation) }),
  };
}
