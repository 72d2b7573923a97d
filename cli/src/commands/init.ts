import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { EngineName } from "@fedlora/client-sdk";
import type { StateDict } from "@fedlora/core";
import { Command } from "commander";
import { fileDataSource } from "../data-file.js";
import { readTextFile } from "../files.js";
import { createOutput, formatMetric, type Output } from "../output.js";
import { interruptSignal, wholeNumber, withJson } from "./shared.js";

interface Options {
  readonly json?: boolean;
  readonly model: string;
  readonly spec: string;
  readonly out: string;
  readonly cache?: string;
}

interface GradientOptions extends Options {
  readonly data: string;
  readonly examples?: number;
  readonly engine: EngineName | "auto";
}

/** `fedlora init`: adapters to start a run from, made on this machine; the run spec names them by their hash. */
export function initCommand(): Command {
  return new Command("init")
    .description("make the adapter that a run starts from")
    .addCommand(pissaCommand())
    .addCommand(gradientCommand());
}

function pissaCommand(): Command {
  return common("pissa")
    .description("PiSSA: the principal factors of the base model's weights")
    .action(async (options: Options) => {
      const { principalAdapter } = await import("../principal-adapter.js");
      const output = createOutput(options.json === true);
      await withModel(options, async ({ baseModel, spec }) => {
        const { tensors, leftOut } = await principalAdapter(baseModel, spec, (name, index, count) => {
          if (!output.json) output.note(`${index + 1}/${count} ${name}`);
        });
        const shares = [...leftOut.values()];
        const mean = shares.reduce((sum, share) => sum + share, 0) / Math.max(1, shares.length);
        await write(options.out, tensors, { subtracted: true }, { leftOut: mean }, output);
      });
    });
}

function gradientCommand(): Command {
  return common("gradient")
    .description("LoRA-SB: from the gradient of the base model on data that lies here, such as a public data set")
    .requiredOption("-d, --data <file>", "examples as JSON lines, as for `fedlora client`")
    .option(
      "--examples <n>",
      "examples to take, drawn at random; default: as in the spec's adapter.init, or 128",
      wholeNumber("--examples", 1, 1_000_000),
    )
    .option("--engine <name>", "training engine, as for `fedlora client`", "auto")
    .action(async (options: GradientOptions) => {
      const { gradientAdapter } = await import("../gradient-adapter.js");
      const { adapterSchema } = await import("@fedlora/core");
      const { openModelWorkbench } = await import("@fedlora/client-sdk");
      const output = createOutput(options.json === true);
      const data = await fileDataSource({ train: options.data, evaluation: undefined, name: basename(options.data) });
      const signal = interruptSignal();
      await withModel(options, async ({ baseModel, spec, cacheFolder }) => {
        const given = spec.adapter.init.kind === "gradient" ? spec.adapter.init : { kind: "gradient" as const };
        const wanted = { ...given, ...(options.examples !== undefined && { examples: options.examples }) };
        const { init } = adapterSchema.parse({ ...spec.adapter, init: wanted });
        const workbench = openModelWorkbench({ baseModel, cacheFolder, engine: { engine: options.engine } });
        try {
          if (init.kind !== "gradient") return;
          const work = { baseModel, trainer: workbench.trainer, spec, init, data };
          const { tensors, metrics } = await gradientAdapter(work, signal, ({ stage, step, totalSteps }) => {
            if (!output.json && stage === "training") output.note(`${step}/${totalSteps}`);
          });
          await write(options.out, tensors, {}, metrics, output);
        } finally {
          await workbench.close();
        }
      });
    });
}

function common(name: string): Command {
  return withJson(new Command(name))
    .requiredOption("-m, --model <folder>", "base-model folder: config.json, safetensors, tokenizer.json")
    .requiredOption("--spec <file>", "run spec (YAML or JSON)")
    .requiredOption("-o, --out <file>", "safetensors file to write")
    .option(
      "--cache <folder>",
      "folder for converted weights and compiled graphs; default: one that is removed at the end",
    );
}

type LoadedModel = Awaited<ReturnType<(typeof import("@fedlora/client-sdk"))["loadBaseModel"]>>;
type ParsedSpec = ReturnType<(typeof import("@fedlora/core"))["parseRunSpec"]>;

async function withModel(
  options: Options,
  work: (parts: { baseModel: LoadedModel; spec: ParsedSpec; cacheFolder: string }) => Promise<void>,
): Promise<void> {
  const { parseRunSpec } = await import("@fedlora/core");
  const { loadBaseModel } = await import("@fedlora/client-sdk");
  const text = await readTextFile(options.spec, "run spec");
  const cacheFolder = options.cache ?? (await mkdtemp(join(tmpdir(), "fedlora-init-")));
  try {
    const baseModel = await loadBaseModel(options.model, { cacheFolder });
    await work({ baseModel, spec: parseRunSpec(text, { manifest: baseModel.manifest }), cacheFolder });
  } finally {
    if (options.cache === undefined) await rm(cacheFolder, { recursive: true, force: true });
  }
}

/** Writes the file and says what to put into the run spec. */
async function write(
  out: string,
  tensors: StateDict,
  more: { readonly subtracted?: boolean },
  metrics: Readonly<Record<string, number>>,
  output: Output,
): Promise<void> {
  const { blobIdOf, writeSafetensors } = await import("@fedlora/core");
  const { nodeSha256 } = await import("@fedlora/core/node");
  const bytes = writeSafetensors(tensors);
  await mkdir(dirname(out), { recursive: true });
  await writeFile(out, bytes);
  const init = { kind: "file", hash: blobIdOf(bytes, nodeSha256), ...more };
  if (output.json) {
    output.print(JSON.stringify({ file: out, bytes: bytes.byteLength, init, metrics }));
    return;
  }
  const told = Object.entries(metrics).map(([name, value]) => `${name} ${formatMetric(value) ?? ""}`);
  output.print(`${out}: ${told.join(", ")}\n\nadapter:\n  init:\n    kind: file\n    hash: ${init.hash}`);
  if (more.subtracted === true) output.print("    subtracted: true");
}
