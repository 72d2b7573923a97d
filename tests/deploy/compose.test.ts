import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { mailboxNames } from "@fedlora/simulations";
import { expect, test } from "vitest";
import { parse } from "yaml";

const root = fileURLToPath(new URL("../..", import.meta.url));
const hasCompose = spawnSync("docker-compose", ["version"]).status === 0;
if (!hasCompose) console.warn("skipped: docker-compose is not installed, so the compose file is not checked by it");

test.skipIf(!hasCompose)("docker-compose accepts the file", () => {
  const { status, stderr } = spawnSync("docker-compose", ["config", "--quiet"], { cwd: root, encoding: "utf8" });
  expect(status, stderr).toBe(0);
});

interface Compose {
  readonly services: Record<string, { build?: { target: string; args?: { MAILBOX: string } }; command?: string[] }>;
}

test("every member has a mailbox of its own, and every image a target in the Dockerfile", async () => {
  const { services } = parse(await readFile(new URL("../../docker-compose.yml", import.meta.url), "utf8"), {
    merge: true,
  }) as Compose;
  const dockerfile = await readFile(new URL("../../Dockerfile", import.meta.url), "utf8");
  const mailboxes = Object.entries(services).flatMap(([name, { build }]) =>
    build?.args === undefined ? [] : [[name, build.args.MAILBOX]],
  );
  expect(mailboxes.length).toBeGreaterThanOrEqual(3);
  for (const [name, mailbox] of mailboxes) {
    expect(mailbox).toBe(name);
    expect(mailboxNames).toContain(mailbox);
  }
  for (const { build } of Object.values(services)) {
    if (build !== undefined) expect(dockerfile).toMatch(new RegExp(`^FROM .* AS ${build.target}$`, "m"));
  }
  expect(services["coordinator"]?.command).toContain("--insecure");
});
