import { Command } from "commander";
import { createOutput, formatBytes, table } from "../output.js";
import { readTextFile } from "../files.js";
import { withJson } from "./shared.js";

/** `fedlora compile`: training artifacts for a run, for clients that have no TensorFlow.js. */
export function compileCommand(): Command {
  return withJson(new Command("compile"))
    .description("compile a run's training and evaluation steps into artifacts that run without TensorFlow.js")
    .argument("<spec>", "run spec (YAML or JSON)")
    .requiredOption("-m, --model <folder>", "base-model folder")
    .requiredOption("-o, --out <folder>", "folder for the artifacts, one folder each")
    .action(async (specFile: string, options: { model: string; out: string; json?: boolean }) => {
      const { parseRunSpec } = await import("@fedlora/core");
      const { compileRun, loadBaseModel } = await import("@fedlora/client-sdk");
      const baseModel = await loadBaseModel(options.model, { cacheFolder: options.out });
      const spec = parseRunSpec(await readTextFile(specFile, "run spec"), { manifest: baseModel.manifest });
      const { trainedTogether } = await import("../trained-together.js");
      const artifacts = await compileRun(baseModel, spec, options.out, trainedTogether(spec, baseModel.manifest));
      const output = createOutput(options.json === true);
      const listed = artifacts.map(({ folder, manifest }) => ({
        folder,
        purpose: manifest.request.purpose,
        batch: manifest.request.batch,
        length: manifest.request.length,
        baseDeltaRank: manifest.request.baseDeltaRank,
        graphHash: manifest.graphHash,
        flops: manifest.flops,
        activationBytes: manifest.activationBytes,
      }));
      if (output.json) output.print(JSON.stringify(listed));
      else {
        const rows = listed.map((artifact) => [
          artifact.purpose,
          `${artifact.batch} x ${artifact.length}`,
          artifact.baseDeltaRank,
          (artifact.flops / 1e9).toFixed(1),
          formatBytes(artifact.activationBytes),
          artifact.folder,
        ]);
        output.print(table(["purpose", "batch", "base change", "GFLOP", "activations", "folder"], rows));
      }
    });
}
