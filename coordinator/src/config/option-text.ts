import { FedLoraError } from "@fedlora/core";
import { coordinatorConfigSchema, type CoordinatorConfig } from "./config.js";

const defaults = coordinatorConfigSchema.parse({});

/** An option's value from text, by the type of its default. The schema checks the range afterwards. */
export function readOptionText(option: keyof CoordinatorConfig, texts: readonly string[], source: string): unknown {
  const last = texts.at(-1) ?? "";
  const byDefault = defaults[option];
  if (Array.isArray(byDefault)) return texts;
  switch (typeof byDefault) {
    case "number": {
      const value = Number(last);
      if (last.trim() !== "" && Number.isFinite(value)) return value;
      throw new FedLoraError("config-invalid", `${source} "${last}" must be a number`);
    }
    case "boolean":
      if (last === "true" || last === "1") return true;
      if (last === "false" || last === "0") return false;
      throw new FedLoraError("config-invalid", `${source} "${last}" must be true or false`);
    default:
      return last;
  }
}
