import type { PlanId } from "@fedlora/core";
import { TestClient } from "@fedlora/coordinator/testing";
import { createUpdates, upload } from "./bench-client.js";

/** Many clients, each on a connection of its own, that all begin to upload at the same moment. */
process.on("message", ({ port, rows, count }: { port: number; rows: number; count: number }) => {
  void run(port, rows, count).then((value) => process.send?.(value));
});

async function run(port: number, rows: number, count: number): Promise<{ seconds: number; waits: number }> {
  const updates = createUpdates(rows, count);
  const clients = await Promise.all(updates.map(() => TestClient.enrolled(`127.0.0.1:${port}`)));
  const start = performance.now();
  const waits = await Promise.all(
    updates.map(async (update, index) => {
      const client = clients[index];
      return client === undefined ? 0 : upload(client, `many-${index}` as PlanId, update);
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  for (const client of clients) client.close();
  return { seconds, waits: waits.reduce((sum, value) => sum + value, 0) };
}
