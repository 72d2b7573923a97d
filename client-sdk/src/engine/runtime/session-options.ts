import type { InferenceSession } from "onnxruntime-node";
import type { EngineName } from "../engine.js";

export interface SessionSettings {
  readonly engine: EngineName;
  readonly threads: number;
  readonly prepack: boolean;
  /** The artifact's own, besides the house's. */
  readonly disabledOptimizers: readonly string[];
  readonly profilePrefix?: string | undefined;
}

const providers: Partial<Record<EngineName, InferenceSession.ExecutionProviderConfig[]>> = {
  "onnxruntime-cpu": ["cpu"],
  "onnxruntime-webgpu": ["webgpu", "cpu"],
  "onnxruntime-cuda": ["cuda", "cpu"],
  "onnxruntime-web": ["wasm"],
};

/**
 * The house options. Values of `extra` must be strings: the runtime ignores others without a word.
 *
 * - No memory pattern: it reserves one block of the size of all activations on top of the arena.
 * - No prepacking (unless asked for): packed copies would unshare the mapped weights for 6 % of speed.
 * - No constant folding: it would copy frozen weights into the heap.
 * - No spinning: threads that wait busily steal the cores of other processes.
 * - Denormal numbers count as zero: saturated softmax scores are full of them, and each costs the processor some hundred
 *   cycles (a tenth of a MiniLM step then). The first session of a process decides, and for the JavaScript of the thread
 *   that opens it as well, so the optimizer counts that way too. WebAssembly has no such mode.
 * - An artifact may name more: `recompute` must do without common-subexpression elimination, which would quietly merge the
 *   recomputed layers with the first run.
 */
export function sessionOptions(settings: SessionSettings): InferenceSession.SessionOptions {
  const disabled = new Set(["ConstantFolding", ...settings.disabledOptimizers]);
  return {
    executionProviders: providers[settings.engine] ?? ["cpu"],
    intraOpNumThreads: settings.threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    enableMemPattern: false,
    logSeverityLevel: 3,
    ...(settings.profilePrefix === undefined
      ? {}
      : { enableProfiling: true, profileFilePrefix: settings.profilePrefix }),
    extra: {
      session: {
        disable_prepacking: settings.prepack ? "0" : "1",
        set_denormal_as_zero: flushesDenormals(settings.engine) ? "1" : "0",
        intra_op: { allow_spinning: "0" },
      },
      optimization: { disable_specified_optimizers: [...disabled].join(";") },
    },
  };
}

/** Options that change bits; thread counts do not. */
export function describeSettings(engine: EngineName, settings: { readonly prepack: boolean }): string {
  const denormals = flushesDenormals(engine) ? "zero" : "kept";
  return `prepack=${settings.prepack ? "1" : "0"} optimization=all-folding denormals=${denormals}`;
}

function flushesDenormals(engine: EngineName): boolean {
  return engine !== "onnxruntime-web";
}
