import { InvalidArgumentError } from "commander";

/** An option's value as an integer from 1 on. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("It must be an integer of at least 1.");
  return value;
}
