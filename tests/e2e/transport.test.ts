import { describeTransport } from "@fedlora/client-sdk/testing";
import { writeSafetensors } from "@fedlora/core";
import { filled, manifest, RealCoordinator, wideLayout } from "./real-coordinator.js";

describeTransport("gRPC to the coordinator itself", async () => {
  const coordinator = await RealCoordinator.start({ cohort: { size: 1 } });
  return {
    baseModelHash: manifest.hash,
    connect: () => coordinator.connect(),
    update: writeSafetensors(filled(wideLayout, 0.25)),
    incomplete: writeSafetensors(filled(wideLayout.slice(1), 0.25)),
    close: () => coordinator.close(),
  };
});
