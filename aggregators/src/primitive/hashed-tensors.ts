import { tensorKindOf } from "@fedlora/core";
import type { StateDict, TensorKind, TensorRole } from "@fedlora/core";
import type { ClientInstruction } from "../method.js";
import { leadingBlocks } from "./method-parts.js";

/**
 * The values that a client starts from and that are not in its round's download, in files of their own that are named by
 * their hash: frozen factors, the trained factor of a method that alternates, and round 0's values of what stays on the
 * client, for newcomers. One file per kind of tensor, so that a client fetches again only the kind that changed.
 *
 * @param global the global adapter; what it lacks (control variates) is no one's to send
 */
export function hashedTensors({ roles }: ClientInstruction, global: StateDict): readonly StateDict[] {
  const byKind = new Map<TensorKind, TensorRole[]>();
  for (const role of roles) {
    const { name } = role.spec;
    if (role.downloaded || !global.has(name)) continue;
    const kind = tensorKindOf(name);
    byKind.set(kind, [...(byKind.get(kind) ?? []), role]);
  }
  return [...byKind.values()].map((list) => leadingBlocks(list, global));
}
