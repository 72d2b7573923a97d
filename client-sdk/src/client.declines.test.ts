import { FedLoraError } from "@fedlora/core";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { bigShape, createClientHarness, type ClientHarness, type HarnessOptions } from "./testing/client-harness.js";
import { fakeRole } from "./testing/fake-plan.js";

const opened: ClientHarness[] = [];
const open = async (options?: HarnessOptions): Promise<ClientHarness> => {
  const harness = await createClientHarness(options);
  opened.push(harness);
  return harness;
};
afterEach(async () => {
  for (const harness of opened.splice(0)) await harness.dispose();
});

describe("a plan that is not for this client", () => {
  const declinedWith = async (
    harness: ClientHarness,
    changes: Parameters<ClientHarness["run"]>[0] = {},
  ): Promise<{ code: string; reason: string } | undefined> => {
    harness.fake.onCall = ({ method, when }) => {
      if (method === "decline" && when === "after") harness.fake.closeRound();
    };
    await harness.run(changes);
    expect(harness.trainer.trained).toHaveLength(0);
    expect(harness.fake.declined).toHaveLength(1);
    expect(harness.seen("declined")[0]?.code).toBe(harness.fake.declined[0]?.code);
    return harness.fake.declined[0];
  };

  test("by the owner's policy is declined with the reason", async () => {
    const harness = await open({ coordinator: { method: "fedex" } });
    const declined = await declinedWith(harness, { policy: { methods: ["fedavg"] } });
    expect(declined).toMatchObject({
      code: "policy-declined",
      reason: 'method "fedex" is not one of the allowed fedavg',
    });
  });

  test("by the owner's callback is declined in the callback's words", async () => {
    const harness = await open();
    const declined = await declinedWith(harness, { policy: { canTrain: () => Promise.resolve("on battery") } });
    expect(declined).toMatchObject({ code: "policy-declined", reason: "on battery" });
  });

  test("because its upload would be larger than allowed, whatever its envelope says", async () => {
    const harness = await open({ coordinator: { envelope: { uploadBytes: 10 } } });
    const declined = await declinedWith(harness, { policy: { maxUploadBytes: 700_000 } });
    expect(declined).toMatchObject({ code: "policy-declined" });
    expect(declined?.reason).toContain("786448"); // 3 x 65536 + 4 values of 4 bytes
  });

  test("because of another base model is declined as a mismatch", async () => {
    const harness = await open({ coordinator: { baseModelHash: "cd".repeat(32) as never } });
    const declined = await declinedWith(harness);
    expect(declined).toMatchObject({ code: "model-hash-mismatch" });
    expect(declined?.reason).toContain("cdcd");
    expect(declined?.reason).toContain("abab");
  });

  test("because of a directive that it does not know is declined by its name", async () => {
    const directives = [{ kind: "sparsity-mask", version: 3 }] as never;
    const harness = await open({ instructions: { directives } });
    const declined = await declinedWith(harness);
    expect(declined).toMatchObject({ code: "directive-unknown" });
    expect(declined?.reason).toContain("sparsity-mask@3");
  });

  test("because of an update form or codec that it cannot make is declined", async () => {
    const mask = await open({ instructions: { updateForm: "mask" } });
    expect((await declinedWith(mask))?.code).toBe("directive-unknown");
    const codec = await open({ instructions: { codec: "zip" } });
    expect((await declinedWith(codec))?.code).toBe("directive-unknown");
  });

  test("because a tensor has another shape than the plan says is declined", async () => {
    const harness = await open({ instructions: { roles: [fakeRole("a", [5, 5])] } });
    const declined = await declinedWith(harness);
    expect(declined?.code).toBe("adapter-invalid");
    expect(declined?.reason).toContain(`[${bigShape.join(", ")}]`);
  });

  test("because the client holds no evaluation examples is declined", async () => {
    const harness = await open({ coordinator: { evaluate: true } });
    harness.fake.onCall = ({ method, when }) => {
      if (method === "decline" && when === "after") harness.fake.closeRound();
    };
    await harness.run({ data: { name: "mail", train: () => [] } });
    expect(harness.fake.declined).toMatchObject([{ code: "data-empty" }]);
  });
});

describe("training that fails", () => {
  test("is declined with its code, and what the error says of the data stays on this machine", async () => {
    const harness = await open({
      trainer: {
        onStep: () => {
          throw new FedLoraError("data-invalid", 'example 3 "dear Ada, ..." has no label');
        },
      },
    });
    harness.fake.onCall = ({ method, when }) => {
      if (method === "decline" && when === "after") harness.fake.closeRound();
    };

    await harness.run();

    expect(harness.fake.declined).toMatchObject([{ code: "data-invalid" }]);
    expect(harness.fake.declined[0]?.reason).not.toContain("Ada");
    expect(harness.seen("declined")[0]?.reason).toContain("Ada");
  });

  test("with values that are not finite sends none of them", async () => {
    const harness = await open({ trainer: { shift: Number.NaN } });
    harness.fake.onCall = ({ method, when }) => {
      if (method === "decline" && when === "after") harness.fake.closeRound();
    };

    await harness.run();

    expect(harness.fake.receivedBytes).toBe(0);
    expect(harness.fake.declined).toMatchObject([{ code: "update-not-finite" }]);
    expect(await readdir(join(harness.folder, "work"))).toEqual([]);
  });

  test("for want of an engine ends the client after the plan was declined", async () => {
    const harness = await open({
      trainer: {
        onStep: () => {
          throw new FedLoraError("engine-unavailable", "no engine");
        },
      },
    });

    await expect(harness.run()).rejects.toMatchObject({ code: "engine-unavailable" });
    expect(harness.fake.declined).toMatchObject([{ code: "engine-unavailable" }]);
  });

  test("because the round closed meanwhile is stopped, and the next plan is asked for", async () => {
    const harness = await open({
      coordinator: { rounds: 2 },
      trainer: {
        onStep: async (step, { round }, signal) => {
          if (round !== 1 || step !== 2) return;
          harness.fake.closeRound();
          await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        },
      },
    });

    await harness.run();

    expect(harness.seen("abandoned")).toMatchObject([{ round: 1 }]);
    expect(harness.fake.accepted.map(({ planId }) => planId)).toMatchObject([expect.stringContaining("plan-2")]);
  });
});
