import { FedLoraError } from "@fedlora/core";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createHuggingFaceTokenizer } from "../tokenizer/hugging-face-tokenizer.js";
import { createLlama2cTokenizer } from "../tokenizer/llama2c-tokenizer.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { readOptional, readOptionalJson } from "./read-json.js";

/**
 * The tokenizer of a model folder: tokenizer.json (with tokenizer_config.json where it is there), otherwise the one
 * `tok*.bin` or `tokenizer*.bin` of llama2.c.
 *
 * @throws FedLoraError `model-missing` where there is none, `file-invalid` for one that cannot be read
 */
export async function loadTokenizer(folder: string, configJson: Readonly<Record<string, unknown>>): Promise<Tokenizer> {
  const path = join(folder, "tokenizer.json");
  const tokenizer = await readOptionalJson(path);
  if (tokenizer !== undefined) {
    const tokenizerConfig = await readOptionalJson(join(folder, "tokenizer_config.json"));
    return createHuggingFaceTokenizer({ tokenizer, tokenizerConfig, modelConfig: configJson, path });
  }
  const binary = (await readdir(folder)).filter((name) => /^tok(enizer)?\d*\.bin$/u.test(name)).sort();
  const name = binary[0];
  const bytes = name === undefined ? undefined : await readOptional(join(folder, name));
  const size = configJson["vocab_size"];
  if (name === undefined || bytes === undefined || typeof size !== "number") {
    throw new FedLoraError("model-missing", `"${folder}" has no tokenizer.json`);
  }
  return createLlama2cTokenizer(bytes, size, join(folder, name));
}
