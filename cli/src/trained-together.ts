import { compileMethod } from "@fedlora/aggregators";
import type { CompileRunOptions } from "@fedlora/client-sdk";
import { adapterLayout, resolveAdapter } from "@fedlora/core";
import type { ClientId, ModelManifest, RunSpec } from "@fedlora/core";

/** What a run's method asks of clients' graphs: which tensors a client of full rank trains, and whether the base changes. */
export function trainedTogether(spec: RunSpec, manifest: ModelManifest): CompileRunOptions {
  // The rounds of an initialisation have graphs of their own; those that follow do not depend on it.
  const adapter = { ...spec.adapter, init: { kind: "seeded" } } as const;
  const resolved = resolveAdapter(spec.adapter, manifest, spec.task);
  const layout = adapterLayout(resolved);
  const scalings = Object.fromEntries(resolved.modules.map(({ name, scaling }) => [name, scaling]));
  const method = compileMethod({ spec: { ...spec, adapter }, adapterLayout: layout, scalings });
  const client = { clientId: "" as ClientId, maxRank: undefined, ranks: undefined, directives: [], codecs: [] };
  const state = method.initialState();
  // No method knows more than two phases that take turns.
  const trained = [1, 2].map((round) => {
    const { roles } = method.prepare(method.phase(state, round), state, client);
    return new Set(roles.filter((role) => role.trained).map((role) => role.spec.name));
  });
  return { editsBase: method.definition.capabilities.editsBase, trained };
}
