import { randomKey } from "@fedlora/core";
import type { SimulationData } from "../data/simulation-data.js";
import { openAvailability } from "../device/availability.js";
import { assertCohort } from "../scenario/check-scenario.js";
import type { Scenario } from "../scenario/scenario-schema.js";
import { sharedOut } from "./shared-out.js";

/**
 * Refuses before any run what the data do not allow with one of the seeds, so that hours of runs do not end in it.
 *
 * @throws FedLoraError as `sharedOut`, `assertCohort` and `openAvailability`
 */
export async function assertDataSuffice(
  scenario: Scenario,
  data: SimulationData,
  seeds: readonly number[],
  cohortSize: number,
  folder: string,
): Promise<void> {
  await openAvailability(scenario.devices, randomKey(0), folder);
  for (const seed of seeds) assertCohort(cohortSize, sharedOut(scenario, data, seed).partition.clients);
}
