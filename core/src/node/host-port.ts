import { isIP } from "node:net";

/** `host:port` in its parts, an IPv6 host in brackets and given without them; undefined for anything else. Port: 0 to 65535. */
export function readHostPort(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const [, bracketed, name, digits] = match ?? [];
  const host = bracketed ?? name;
  const port = Number(digits);
  if (host === undefined || port > 65_535) return undefined;
  return bracketed !== undefined && isIP(bracketed) !== 6 ? undefined : { host, port };
}
