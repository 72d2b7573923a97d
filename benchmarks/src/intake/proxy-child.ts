import { connect, createServer, type AddressInfo, type Socket } from "node:net";

interface Held {
  readonly dueMs: number;
  readonly bytes: Buffer;
}

/** Forwards TCP to a port, each direction later by `delayMs`, without limiting the bandwidth. */
process.on("message", ({ port, delayMs }: { port: number; delayMs: number }) => {
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ port, host: "127.0.0.1", noDelay: true });
    delay(near, far, delayMs);
    delay(far, near, delayMs);
  });
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
});

function delay(from: Socket, to: Socket, delayMs: number): void {
  const held: Held[] = [];
  let timer: NodeJS.Timeout | undefined;
  const release = (): void => {
    timer = undefined;
    const now = performance.now();
    for (let first = held[0]; first !== undefined && first.dueMs <= now; first = held[0]) {
      to.write(first.bytes);
      held.shift();
    }
    if (held[0] !== undefined) timer = setTimeout(release, Math.max(0, held[0].dueMs - now));
  };
  from.on("data", (bytes: Buffer) => {
    held.push({ dueMs: performance.now() + delayMs, bytes });
    timer ??= setTimeout(release, delayMs);
  });
  from.on("error", () => to.destroy());
  from.on("close", () => setTimeout(() => to.destroy(), delayMs));
}
