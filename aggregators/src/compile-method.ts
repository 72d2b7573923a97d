import { FedLoraError } from "@fedlora/core";
import { z } from "zod";
import { builtinMethods } from "./builtin.js";
import { assertCombination, requestOf } from "./capabilities.js";
import { initialisationOf } from "./init/initialisation-of.js";
import { withInitialisation } from "./init/with-initialisation.js";
import type { Method, MethodRun } from "./method.js";
import { findMethod } from "./registry.js";
import type { MethodRegistry } from "./registry.js";
import { withClientOptions } from "./wrapper/client-options.js";
import { withServerOptimizer } from "./wrapper/server-optimizer.js";

/**
 * The method of a run, with its options validated and the combination checked, its client options, server optimizer and
 * the initialisation of the adapter wrapped around it.
 *
 * @throws FedLoraError `method-unknown`, `method-options-invalid`, `spec-combination-refused`
 */
export function compileMethod(run: MethodRun, registry: MethodRegistry = builtinMethods): Method {
  const { name, options } = run.spec.method;
  const definition = findMethod(registry, name);
  const parsed = definition.optionsSchema.safeParse(options);
  if (!parsed.success) {
    throw new FedLoraError("method-options-invalid", `options of method "${name}": ${z.prettifyError(parsed.error)}`, {
      details: { method: name },
    });
  }
  assertCombination(definition, requestOf(run.spec));
  const method = definition.create(parsed.data, run);
  const wrapped = withServerOptimizer(withClientOptions(method, run), run.spec.serverOptimizer);
  return withInitialisation(wrapped, initialisationOf(run), run);
}
