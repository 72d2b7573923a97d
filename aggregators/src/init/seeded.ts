import { FedLoraError } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import type { AdapterInitialisation, CreateInitialisation } from "./adapter-initialisation.js";

/**
 * The adapter that the run's seed gives, see `initialAdapter`: every client could make it, but it travels by hash all the
 * same, so that nobody has to draw the same numbers.
 *
 * Papers: Hu et al. 2021 (LoRA), Balazy et al. 2024 (LoRA-XS, with random bases), Kopiczko et al. 2024 (VeRA).
 */
export const seeded: CreateInitialisation = (): AdapterInitialisation => ({
  kind: "seeded",
  paper: "LoRA (Hu et al. 2021)",
  start: startSeeded,
});

/** For initialisations that begin at the seeded adapter. */
export function startSeeded(adapter: StateDict, given: StateDict | undefined): StateDict {
  if (given !== undefined) {
    throw new FedLoraError("adapter-invalid", "an adapter was given, which only adapter.init.kind file asks for");
  }
  return adapter;
}
