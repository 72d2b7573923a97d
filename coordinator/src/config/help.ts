import { z } from "zod";
import { coordinatorConfigSchema } from "./config.js";

/** What `--help` prints: every option with its flag, description and environment variable. */
export function helpText(): string {
  const flagOf: Readonly<Record<string, string>> = { models: "model FILE", runs: "run FILE" };
  const rows = Object.entries(coordinatorConfigSchema.shape).map(([option, schema]) => {
    const kebab = option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const description = z.globalRegistry.get(schema)?.description ?? "";
    return `  --${(flagOf[option] ?? kebab).padEnd(18)} ${description}`;
  });
  return [
    "Usage: fedlora-coordinator [options]",
    "",
    "Serves federated fine-tuning runs over gRPC.",
    "",
    ...rows,
    `  --${"config FILE".padEnd(18)} JSON file of options; the environment (FEDLORA_MAX_UPLOADS) and flags override it.`,
    `  --${"help".padEnd(18)} Print this.`,
    `  --${"version".padEnd(18)} Print the version.`,
    "",
  ].join("\n");
}
