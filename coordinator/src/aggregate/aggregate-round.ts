import { readFileSync } from "node:fs";
import { compileMethod, runPasses } from "@fedlora/aggregators";
import type { AggregationResult } from "@fedlora/aggregators";
import { FedLoraError, readSafetensors, writeSafetensors } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import type { AggregationJob, AggregationOutcome } from "./aggregation.js";
import { FileSink } from "./file-sink.js";
import { UpdateReader, verifyBlob } from "./update-reader.js";

/**
 * Aggregates one round from its stored updates: verifies every file, then runs the method's passes module by module and
 * writes the new global adapter. Synchronous, for a worker thread; memory is the adapter's and does not grow with the
 * number of updates. Errors are those of `AggregationRunner.run`.
 */
export function aggregateRound(job: AggregationJob): AggregationOutcome {
  const { spec, adapterLayout, scalings, round, phase, state, baseVersion, updates } = job;
  const method = compileMethod({ spec, adapterLayout, scalings });
  assertUpdates(job);
  for (const update of updates) verifyBlob(update);

  const global = readGlobal(job);
  const reader = new UpdateReader();
  const sink = new FileSink(job.deltaPath);
  let result: AggregationResult;
  try {
    const input = { round, phase, state, global, baseVersion, sink, freshness: freshnessOf(job) };
    result = runPasses(method.aggregate(input), (visit) => {
      for (const update of updates) reader.visit(update, visit);
    });
  } finally {
    sink.close();
  }
  if (result.kind === "refused") return result;
  return {
    kind: "adapter",
    global: writeSafetensors(result.global),
    state: result.state,
    baseDelta: result.baseDelta,
    metrics: result.metrics,
  };
}

/** 1 where no update is stale; undefined where none weighs anything. */
function freshnessOf({ updates }: AggregationJob): number | undefined {
  const full = updates.reduce((sum, { fullWeight }) => sum + fullWeight, 0);
  const weight = updates.reduce((sum, update) => sum + update.weight, 0);
  return full > 0 ? weight / full : undefined;
}

function assertUpdates({ updates }: AggregationJob): void {
  const seen = new Set<string>();
  for (const { id, weight } of updates) {
    if (!(weight >= 0 && weight < Infinity)) {
      throw new FedLoraError("update-weight", `weight ${weight} of update "${id}" must be a finite number from 0 on`, {
        details: { updateId: id },
      });
    }
    if (seen.has(id)) throw new FedLoraError("update-conflict", `update "${id}" is named twice in one round`);
    seen.add(id);
  }
}

function readGlobal({ global }: AggregationJob): StateDict {
  verifyBlob(global);
  return readSafetensors(readFileSync(global.path)).tensors;
}
