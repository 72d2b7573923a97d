import { FedLoraError } from "@fedlora/core";
import { isLoopback, readHostPort } from "@fedlora/core/node";

/** Where a Redis is. */
export interface RedisAddress {
  /** As ioredis takes it: a URL or the path of a socket. */
  readonly target: string;
  /** The same for people, without a password. */
  readonly shown: string;
}

/**
 * `redis://host:port`, `rediss://host:port` (TLS) or the path of a Unix socket.
 *
 * @param insecure whether `redis://` may name another host than loopback
 * @throws FedLoraError `config-invalid`, `insecure-refused`
 */
export function parseRedisAddress(text: string, insecure: boolean): RedisAddress {
  if (text.startsWith("/")) return { target: text, shown: text };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "redis:" && url.protocol !== "rediss:") || url.hostname === "") {
    throw new FedLoraError(
      "config-invalid",
      `--redis "${withoutPassword(text)}" must be redis://host:port, rediss://host:port or the path of a Unix socket`,
    );
  }
  const shown = `${url.protocol}//${url.hostname}:${url.port === "" ? 6379 : url.port}`;
  if (url.protocol === "redis:" && !insecure && !isLoopback(bare(url.hostname))) {
    throw new FedLoraError(
      "insecure-refused",
      `${shown} is not on loopback; without TLS whoever is on the way can read and change the queue (rediss:// has TLS)`,
    );
  }
  return { target: text, shown };
}

/** An address `host:port` to listen on, an IPv6 host in brackets; port 0: any that is free. */
export function parseListenAddress(text: string, insecure: boolean): { readonly host: string; readonly port: number } {
  const parts = readHostPort(text);
  if (parts === undefined) {
    throw new FedLoraError("config-invalid", `--listen "${text}" must be host:port, an IPv6 host in brackets`);
  }
  assertMayListen(parts.host, insecure);
  return parts;
}

/** Throws `insecure-refused` for another host than loopback where that was not allowed. */
export function assertMayListen(host: string, insecure: boolean): void {
  if (insecure || isLoopback(bare(host))) return;
  throw new FedLoraError(
    "insecure-refused",
    `workers would fetch tensors from ${host} over plain HTTP, which whoever is on the way can read and change`,
  );
}

/** A URL's host without its brackets, a socket's IPv4 address without the prefix that IPv6 gives it. */
const bare = (host: string): string => host.replace(/^\[(.*)\]$/, "$1").replace(/^::ffff:/, "");

const withoutPassword = (text: string): string => text.replace(/\/\/[^@/]*@/, "//***@");
