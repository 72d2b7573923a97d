import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import type { ResourceLimits } from "node:worker_threads";

/**
 * Runs a module in a thread of this process. It gets none of the application's Node options, which may be meant for its
 * own program.
 *
 * @param entry URL of the module without its extension; it runs as source or built, as this file does
 */
export function startThread(entry: URL, resourceLimits: ResourceLimits = {}): Worker {
  if (!import.meta.url.endsWith(".ts"))
    return new Worker(new URL(`${entry.href}.js`), { execArgv: [], resourceLimits });
  // Node 20 does not take tsx as --import of a thread, so the thread registers it and then imports the program. The
  // resolver for require finds tsx's CommonJS build; its module build lies beside it.
  const api = createRequire(import.meta.url)
    .resolve("tsx/esm/api")
    .replace(/\.cjs$/, ".mjs");
  const [tsx, program] = [pathToFileURL(api).href, `${entry.href}.ts`].map((url) => JSON.stringify(url));
  const source = `import(${tsx}).then(({ register }) => { register(); return import(${program}); });`;
  return new Worker(source, { eval: true, execArgv: ["--conditions=@fedlora/source"], resourceLimits });
}
