import { expect, test } from "vitest";
import * as core from "./index.js";
import * as node from "./node/index.js";
import * as testing from "./testing/index.js";

// An addition or a removal shows in the snapshot's diff, so that it is a decision.
test.each(Object.entries({ core, node, testing }))("the exports of %s", async (name, module) => {
  await expect(`${Object.keys(module).sort().join("\n")}\n`).toMatchFileSnapshot(`../exports/${name}.txt`);
});
