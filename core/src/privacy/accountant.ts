import { createPldAccountant } from "./pld-accountant.js";
import type { Accountant } from "./privacy-event.js";
import { createRdpAccountant } from "./rdp-accountant.js";

/** The accountant of that name, with its default settings. */
export function createAccountant(name: Accountant["name"]): Accountant {
  return name === "rdp" ? createRdpAccountant() : createPldAccountant();
}
