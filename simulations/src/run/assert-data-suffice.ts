import { FedLoraError, randomKey, type RunSpec } from "@fedlora/core";
import type { SimulationData } from "../data/simulation-data.js";
import { openAvailability } from "../device/availability.js";
import type { Partition } from "../partition/partition.js";
import { heldOutCount } from "../runtime/client-data.js";
import { assertCohort } from "../scenario/check-scenario.js";
import type { Scenario } from "../scenario/scenario-schema.js";
import { sharedOut } from "./shared-out.js";

/**
 * Refuses before any run what the data do not allow with one of the seeds, so that hours of runs do not end in it.
 *
 * @throws FedLoraError `scenario-invalid` where fewer clients than a round needs have the examples that the privacy asks for;
 *   as `sharedOut`, `assertCohort` and `openAvailability`
 */
export async function assertDataSuffice(
  scenario: Scenario,
  data: SimulationData,
  seeds: readonly number[],
  spec: Pick<RunSpec, "cohort" | "privacy">,
  folder: string,
): Promise<void> {
  await openAvailability(scenario.devices, randomKey(0), folder);
  for (const seed of seeds) {
    const { partition } = sharedOut(scenario, data, seed);
    assertCohort(spec.cohort.size, partition.clients);
    assertEnoughMayTrain(spec, partition, scenario.data.heldOut);
  }
}

/** Who has fewer examples than the guarantee counts on declines every plan. */
function assertEnoughMayTrain(
  { cohort, privacy }: Pick<RunSpec, "cohort" | "privacy">,
  partition: Partition,
  heldOutShare: number,
): void {
  if (privacy.mode !== "example") return;
  const { minExamples } = privacy;
  const { clients } = partition;
  const counts = Array.from({ length: clients }, (_, client) => {
    const { length } = partition.rowsOf(client);
    return length - heldOutCount(length, heldOutShare);
  });
  const able = counts.filter((count) => count >= minExamples).length;
  const needed = cohort.quorum ?? cohort.size;
  if (able >= needed) return;
  const message =
    `${able} of ${clients} clients have the ${minExamples} examples to train on that run.privacy.minExamples asks for, ` +
    `a round needs ${needed}; the largest has ${Math.max(...counts)}`;
  throw new FedLoraError("scenario-invalid", message, { details: { path: "run.privacy.minExamples" } });
}
