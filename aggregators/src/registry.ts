import { FedLoraError, suggestion } from "@fedlora/core";
import type { MethodDefinition } from "./method.js";

export type MethodRegistry = ReadonlyMap<string, MethodDefinition>;

const namePattern = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/**
 * Methods by name.
 *
 * @throws FedLoraError `config-invalid` for a name that is not kebab-case or is taken, and a version that is no integer
 *   of at least 1
 */
export function createMethodRegistry(definitions: Iterable<MethodDefinition>): MethodRegistry {
  const registry = new Map<string, MethodDefinition>();
  for (const definition of definitions) {
    const { name, version } = definition;
    if (!namePattern.test(name)) {
      throw new FedLoraError("config-invalid", `method name "${name}" must be kebab-case, such as "fed-avg"`);
    }
    if (registry.has(name)) throw new FedLoraError("config-invalid", `method name "${name}" is used twice`);
    if (!Number.isSafeInteger(version) || version < 1) {
      throw new FedLoraError("config-invalid", `version ${version} of method "${name}" must be an integer from 1 on`);
    }
    registry.set(name, definition);
  }
  return registry;
}

/** @throws FedLoraError `method-unknown` with the nearest names */
export function findMethod(registry: MethodRegistry, name: string): MethodDefinition {
  const definition = registry.get(name);
  if (definition !== undefined) return definition;
  const names = [...registry.keys()];
  throw new FedLoraError(
    "method-unknown",
    `there is no method "${name}"${suggestion(name, names)} Methods are ${names.join(", ")}.`,
    { details: { method: name } },
  );
}
