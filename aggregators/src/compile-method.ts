import { FedLoraError, explainIssues, type ExplainedDocument, type RunSpec } from "@fedlora/core";
import { z } from "zod";
import { builtinMethods } from "./builtin.js";
import { assertCombination, requestOf } from "./capabilities.js";
import { initialisationOf } from "./init/initialisation-of.js";
import { withInitialisation } from "./init/with-initialisation.js";
import type { Method, MethodDefinition, MethodRun } from "./method.js";
import { findMethod } from "./registry.js";
import type { MethodRegistry } from "./registry.js";
import { withClientOptions } from "./wrapper/client-options.js";
import { withServerOptimizer } from "./wrapper/server-optimizer.js";

/**
 * What can be said of a run's method before its model is known: whether there is such a method, its options and whether it
 * allows what else the run asks for.
 *
 * @throws FedLoraError `method-unknown`, `method-options-invalid`, `spec-combination-refused`
 */
export function assertMethod(
  spec: RunSpec,
  registry: MethodRegistry = builtinMethods,
): { readonly definition: MethodDefinition; readonly options: unknown } {
  const { name, options } = spec.method;
  const definition = findMethod(registry, name);
  const parsed = definition.optionsSchema.safeParse(options);
  if (!parsed.success) {
    const document = { name: "the options", schema: z.toJSONSchema(definition.optionsSchema, { io: "input" }) };
    const problems = explainIssues(parsed.error.issues, options, document as ExplainedDocument);
    const text = problems.map(({ message }) => message).join("; ");
    throw new FedLoraError("method-options-invalid", `options of method "${name}": ${text}`, {
      details: { method: name },
    });
  }
  assertCombination(definition, requestOf(spec));
  return { definition, options: parsed.data };
}

/**
 * The method of a run, with its options validated and the combination checked, its client options, server optimizer and
 * the initialisation of the adapter wrapped around it.
 *
 * @throws FedLoraError as `assertMethod`
 */
export function compileMethod(run: MethodRun, registry: MethodRegistry = builtinMethods): Method {
  const { definition, options } = assertMethod(run.spec, registry);
  const method = definition.create(options, run);
  const wrapped = withServerOptimizer(withClientOptions(method, run), run.spec.serverOptimizer);
  return withInitialisation(wrapped, initialisationOf(run), run);
}
