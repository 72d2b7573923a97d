import { systemClock } from "@fedlora/core";
import { expect, test } from "vitest";
import { createClientHarness } from "./testing/client-harness.js";
import { serveFakeCoordinator, type ServedFake } from "./testing/serve-fake-coordinator.js";
import { createGrpcTransport } from "./transport/grpc-transport.js";

test.each([
  ["a poll", "poll", 2],
  ["a download", "chunkDown", 3],
  ["an upload", "chunkUp", 2],
  ["a commit", "commit", 1],
] as const)("a coordinator that dies within %s and comes back is gone on with, over gRPC", async (_, method, nth) => {
  const harness = await createClientHarness({ coordinator: { rounds: 2 } });
  let served: ServedFake | undefined = await serveFakeCoordinator(harness.fake);
  const { address } = served;
  let calls = 0;
  harness.fake.onCall = async (call) => {
    // A chunk on its way down has no moment after it.
    const when = method === "chunkDown" ? "before" : "after";
    if (call.method !== method || call.when !== when || ++calls !== nth) return;
    harness.fake.onCall = () => undefined;
    served?.stop();
    served = await serveFakeCoordinator(harness.fake, Number(address.split(":")[1]));
  };

  await harness.run({
    transport: createGrpcTransport(address),
    clock: systemClock,
    retry: { baseDelayMs: 20, maxDelayMs: 100 },
  });
  served.stop();

  expect(harness.fake.accepted).toHaveLength(2);
  expect(harness.trainer.trained).toHaveLength(2);
  expect(harness.seen("enrolled")).toHaveLength(2);
  expect(harness.fake.receivedBytes).toBe(2 * (harness.seen("uploading").at(-1)?.totalBytes ?? 0));
  await harness.dispose();
});
