import { FedLoraError } from "@fedlora/core";
import { isLoopback } from "@fedlora/core/node";
import { isIP } from "node:net";

/**
 * Where a coordinator is, as gRPC takes it. Plaintext leaves this machine only where the caller insists.
 * Throws `config-invalid` for what is no `host:port`, `insecure-refused` for plaintext to another host than loopback.
 */
export function checkEndpoint(address: string, insecure: boolean): string {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535 || (match?.[1] !== undefined && isIP(host) !== 6)) {
    throw new FedLoraError(
      "config-invalid",
      `coordinator "${address}" must be host:port with a port from 1 to 65535, an IPv6 host in brackets`,
      { details: { option: "coordinator" } },
    );
  }
  if (!insecure && !isLoopback(host)) {
    throw new FedLoraError(
      "insecure-refused",
      `coordinator "${address}" is not on loopback; without certificates its traffic could be read and changed on the way`,
    );
  }
  return address;
}
