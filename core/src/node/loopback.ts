import { isIP } from "node:net";

/** Whether a host is this machine. Names other than localhost may resolve to anything, so they do not count. */
export function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}
