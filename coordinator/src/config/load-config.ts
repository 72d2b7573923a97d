import { FedLoraError, suggestion } from "@fedlora/core";
import { readFile } from "node:fs/promises";
import { compileConfig, optionNames, type CoordinatorConfig } from "./config.js";
import { readOptionText } from "./option-text.js";

export type LoadedConfig =
  | { readonly kind: "config"; readonly config: CoordinatorConfig }
  | { readonly kind: "help" }
  | { readonly kind: "version" };

/** Options that may be given several times, by the flag's name. */
const listFlags: Readonly<Record<string, keyof CoordinatorConfig>> = { model: "models", run: "runs" };

/**
 * The configuration from, each over the one before: the JSON file of `--config` or FEDLORA_CONFIG, the environment
 * (`maxUploads` is FEDLORA_MAX_UPLOADS; lists by commas), the flags (`--max-uploads 4`, `--max-uploads=4`, a boolean alone
 * or with a value, `--model` and `--run` as often as needed). Throws `config-invalid` naming the source, `file-missing`.
 */
export async function loadConfig(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<LoadedConfig> {
  const flags = readFlags(argv);
  if (flags.has("help")) return { kind: "help" };
  if (flags.has("version")) return { kind: "version" };
  const path = flags.get("config")?.at(-1) ?? env["FEDLORA_CONFIG"];
  const sources = new Map<string, string>();
  const merged: Record<string, unknown> = {};
  const set = (option: string, value: unknown, source: string): void => {
    merged[option] = value;
    sources.set(option, ` (${source})`);
  };
  if (path !== undefined && path !== "") {
    for (const [option, value] of Object.entries(await readConfigFile(path))) set(option, value, `from ${path}`);
  }
  for (const option of optionNames) {
    const name = `FEDLORA_${option.replace(/[A-Z]/g, "_$&").toUpperCase()}`;
    const text = env[name];
    if (text !== undefined && text !== "") set(option, readOptionText(option, text.split(","), name), `from ${name}`);
  }
  for (const [flag, values] of flags) {
    if (flag === "config") continue;
    const option = optionOf(flag);
    set(option, readOptionText(option, values, `--${flag}`), `from --${flag}`);
  }
  return { kind: "config", config: compileConfig(merged, (option) => sources.get(option) ?? "") };
}

async function readConfigFile(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new FedLoraError("file-missing", `cannot read the configuration file "${path}"`, { cause });
  });
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (cause) {
    throw new FedLoraError("config-invalid", `"${path}" is not JSON: ${(cause as Error).message}`, { cause });
  }
  throw new FedLoraError("config-invalid", `"${path}" must hold a JSON object of options`);
}

/** The values of each flag in order; a flag without a value has the value "true". */
function readFlags(argv: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const flags = new Map<string, string[]>();
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? "";
    const match = /^--([a-z][a-z-]*)(?:=(.*))?$/s.exec(word === "-h" ? "--help" : word);
    const name = match?.[1];
    if (match === null || name === undefined)
      throw new FedLoraError("config-invalid", `"${word}" is no flag; see --help`);
    if (!knownFlags.includes(name)) throw unknownFlag(name);
    let value = match[2];
    const next = argv[index + 1];
    if (value === undefined && next !== undefined && !next.startsWith("--") && name !== "help" && name !== "version") {
      value = next;
      index += 1;
    }
    flags.set(name, [...(flags.get(name) ?? []), value ?? "true"]);
  }
  return flags;
}

const toFlag = (option: string): string => option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const knownFlags: readonly string[] = [
  ...Object.keys(listFlags),
  ...optionNames.filter((option) => !Object.values(listFlags).includes(option)).map(toFlag),
  "config",
  "help",
  "version",
];

function optionOf(flag: string): keyof CoordinatorConfig {
  const option = listFlags[flag] ?? optionNames.find((name) => toFlag(name) === flag);
  if (option === undefined) throw unknownFlag(flag);
  return option;
}

function unknownFlag(flag: string): FedLoraError {
  const known = knownFlags.map((name) => `--${name}`);
  const hint = suggestion(`--${flag}`, known);
  return new FedLoraError(
    "config-invalid",
    `unknown flag --${flag}${hint === "" ? `; flags: ${known.join(", ")}` : hint}`,
  );
}
