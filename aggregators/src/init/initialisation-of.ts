import type { AdapterSpec } from "@fedlora/core";
import type { MethodRun } from "../method.js";
import { activation } from "./activation.js";
import type { AdapterInitialisation, CreateInitialisation } from "./adapter-initialisation.js";
import { fromFile } from "./file.js";
import { gradient } from "./gradient.js";
import { seeded } from "./seeded.js";

/** Every initialisation of this package: one line each. */
export const builtinInitialisations: Readonly<Record<AdapterSpec["init"]["kind"], CreateInitialisation>> = {
  activation,
  file: fromFile,
  gradient,
  seeded,
};

/** The initialisation that a run's `adapter.init` names. */
export function initialisationOf(run: MethodRun): AdapterInitialisation {
  return builtinInitialisations[run.spec.adapter.init.kind](run);
}
