import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeProcessFolder } from "./process-folder.js";

let parent: string;
beforeEach(() => (parent = mkdtempSync(join(tmpdir(), "fedlora-test-"))));
afterEach(() => rmSync(parent, { recursive: true }));

test("what a process that is gone left behind goes, what anybody else has stays", async () => {
  const child = spawn(process.execPath, ["-e", ""]);
  await once(child, "exit");
  const dead = `kind-${child.pid}-abc123`;
  const others = [`other-${child.pid}-abc123`, `kind-${process.pid}-abc123`, `kind-${child.pid}`, "kind-1-abc123"];
  for (const name of [dead, ...others]) {
    mkdirSync(join(parent, name));
    writeFileSync(join(parent, name, "file"), "x");
  }

  const folder = await makeProcessFolder("kind", parent);

  expect(readdirSync(parent).sort()).toEqual([...others, basename(folder)].sort());
  expect(basename(folder)).toMatch(new RegExp(`^kind-${process.pid}-`));
  expect(await makeProcessFolder("kind", parent)).not.toBe(folder);
});
