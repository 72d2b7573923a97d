import { compileMethod } from "@fedlora/aggregators";
import type { Method, MethodRegistry } from "@fedlora/aggregators";
import { adapterLayout, resolveAdapter } from "@fedlora/core";
import type { ModelManifest, ResolvedAdapter, RunSpec, TensorLayout } from "@fedlora/core";

/** What follows from a run's spec and its model: made at the start of a run and again after each restart. */
export interface RunContext {
  readonly spec: RunSpec;
  readonly manifest: ModelManifest;
  readonly adapter: ResolvedAdapter;
  readonly layout: TensorLayout;
  /** Scaling of each adapted module, by name. */
  readonly scalings: Readonly<Record<string, number>>;
  readonly method: Method;
}

/** Throws `target-modules-unmatched`, `method-unknown`, `method-options-invalid`, `spec-combination-refused`. */
export function createRunContext(spec: RunSpec, manifest: ModelManifest, methods: MethodRegistry): RunContext {
  const adapter = resolveAdapter(spec.adapter, manifest, spec.task);
  const layout = adapterLayout(adapter);
  const scalings = Object.fromEntries(adapter.modules.map(({ name, scaling }) => [name, scaling]));
  const method = compileMethod({ spec, adapterLayout: layout, scalings }, methods);
  return { spec, manifest, adapter, layout, scalings, method };
}
