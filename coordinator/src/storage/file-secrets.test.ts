import { expect, test } from "vitest";

import { PowerLossFileSystem, PowerLost } from "../testing/power-loss-file-system.js";
import type { SurvivalMode } from "../testing/power-loss-file-system.js";
import { expectCode } from "../testing/storage-contract.js";
import { openFileStorage } from "./file-storage.js";
import type { FileStorage } from "./file-storage.js";

const open = (fileSystem: PowerLossFileSystem): Promise<FileStorage> =>
  openFileStorage({ folder: "/store", fileSystem, takeOver: true });
const key = Uint8Array.from({ length: 32 }, (_, i) => i + 1);

test.each<SurvivalMode>(["strict", "torn", "process"])(
  "a secret is whole or not there, and once erased stays away, wherever the power goes (%s)",
  async (mode) => {
    let crashes = 0;
    for (let crashAt = 1; ; crashAt++) {
      const fileSystem = new PowerLossFileSystem(crashAt);
      const promised: { state: "nothing" | "stored" | "erased" } = { state: "nothing" };
      try {
        const { secrets } = await open(fileSystem);
        await secrets.put("key", key);
        promised.state = "stored";
        await secrets.erase("key");
        promised.state = "erased";
      } catch (thrown) {
        if (!(thrown instanceof PowerLost)) throw thrown;
      }
      if (!fileSystem.hasCrashed) break;
      crashes += 1;
      let turn = 0;
      const { secrets } = await open(fileSystem.afterCrash(mode, () => turn++ % 2 === 0));
      const found = await secrets.read("key");
      if (promised.state === "erased") expect(found).toBeUndefined();
      // Nobody needs what is being erased: of its bytes any may be left.
      else if (promised.state === "nothing" && found !== undefined) expect(found).toEqual(key);
    }
    expect(crashes).toBeGreaterThan(10);
  },
);

test("no name leads out of the folder", async () => {
  const { secrets } = await open(new PowerLossFileSystem());
  await expectCode("internal", secrets.read("../coordinator-key"));
});
