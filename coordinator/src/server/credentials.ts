import { FedLoraError } from "@fedlora/core";
import { isLoopback } from "@fedlora/core/node";
import { ServerCredentials } from "@grpc/grpc-js";

/**
 * The one place that decides how connections are protected. Plaintext is served on loopback only, unless the operator
 * says `insecure`. Throws `insecure-refused`.
 */
export function serverCredentials(host: string, insecure: boolean): ServerCredentials {
  if (!insecure && !isLoopback(host)) {
    throw new FedLoraError(
      "insecure-refused",
      `listening on ${host} would serve plaintext beyond this machine; listen on 127.0.0.1 or pass --insecure`,
      { details: { host } },
    );
  }
  return ServerCredentials.createInsecure();
}
