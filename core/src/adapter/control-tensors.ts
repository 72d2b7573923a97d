const server = "server_control.";
const client = "client_control.";

/** The coordinator's control variate c of a trained tensor, as the client downloads it; see `ControlVariateDirective`. */
export const serverControlName = (tensor: string): string => `${server}${tensor}`;

/** A client's own control variate c_k of a trained tensor, kept for the run. */
export const clientControlName = (tensor: string): string => `${client}${tensor}`;

/** Whether a role names a control variate, not a tensor of the adapter. */
export const isControlTensor = (name: string): boolean => name.startsWith(server) || name.startsWith(client);

/** The tensor that a control variate belongs to; the name itself for a tensor of the adapter. */
export function controlledTensor(name: string): string {
  return isControlTensor(name) ? name.slice(server.length) : name;
}
