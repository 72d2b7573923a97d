import { FedLoraError } from "@fedlora/core";
import { ServerCredentials } from "@grpc/grpc-js";
import { isIP } from "node:net";

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

/** Names other than localhost may resolve to anything, so they do not count. */
export function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}
