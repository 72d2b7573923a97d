import { FedLoraError } from "@fedlora/core";
import { isLoopback, readHostPort } from "@fedlora/core/node";

/**
 * Where a coordinator is, as gRPC takes it. Plaintext leaves this machine only where the caller insists.
 * Throws `config-invalid` for what is no `host:port`, `insecure-refused` for plaintext to another host than loopback.
 */
export function checkEndpoint(address: string, insecure: boolean): string {
  const parts = readHostPort(address);
  if (parts === undefined || parts.port === 0) {
    throw new FedLoraError(
      "config-invalid",
      `coordinator "${address}" must be host:port with a port from 1 to 65535, an IPv6 host in brackets`,
      { details: { option: "coordinator" } },
    );
  }
  if (!insecure && !isLoopback(parts.host)) {
    throw new FedLoraError(
      "insecure-refused",
      `coordinator "${address}" is not on loopback; without certificates its traffic could be read and changed on the way`,
    );
  }
  return address;
}
