import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fedlora } from "./processes.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-cli-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const away = "127.0.0.1:9";

async function refusedSpec(change: Record<string, unknown>): Promise<string> {
  const spec = {
    name: "wrong",
    model: { hash: "0".repeat(64) },
    task: { kind: "sequence-classification", labels: ["a", "b"] },
    adapter: { rank: 8, targetModules: ["query"] },
    rounds: 1,
    cohort: { size: 1 },
    ...change,
  };
  const file = join(folder, "spec.json");
  await writeFile(file, JSON.stringify(spec));
  const { code, stderr } = await fedlora("run", "create", file, "-c", away);
  expect(code).toBe(2);
  return stderr;
}

test("a wrong command is answered with the nearest right one", async () => {
  const { code, stderr } = await fedlora("serv");
  expect(code).toBe(1);
  expect(stderr).toContain("serve");
});

test("a wrong flag is named", async () => {
  const { code, stderr } = await fedlora("run", "list", "--coordinater", away);
  expect(code).toBe(1);
  expect(stderr).toContain("--coordinator");
});

test("the coordinator's own flags are checked behind `serve`", async () => {
  const { code, stderr } = await fedlora("serve", "--lissten=127.0.0.1:0");
  expect(code).toBe(2);
  expect(stderr).toContain("--lissten");
  expect(stderr).toContain("config-invalid");
});

test("a missing spec is told by its path", async () => {
  const { code, stderr } = await fedlora("run", "create", join(folder, "none.yaml"), "-c", away);
  expect(code).toBe(2);
  expect(stderr).toContain("none.yaml");
  expect(stderr).toContain("file-missing");
});

test("an unknown key of a spec is named with the nearest known one", async () => {
  const stderr = await refusedSpec({ round: 3 });
  expect(stderr).toContain("spec-invalid");
  expect(stderr).toContain("round is not a field");
  expect(stderr).toContain("rounds");
});

test("a rank of 0 is refused with its range", async () => {
  const stderr = await refusedSpec({ adapter: { rank: 0, targetModules: ["query"] } });
  expect(stderr).toContain("adapter.rank");
  expect(stderr).toContain("256");
});

test("a missing model folder is told by its path", async () => {
  const { code, stderr } = await fedlora("model", "inspect", join(folder, "no-model"));
  expect(code).toBe(2);
  expect(stderr).toContain("no-model");
  expect(stderr).toContain("model-missing");
});

test("a coordinator that is away is said to be away, and that trying again may help", async () => {
  const { code, stderr } = await fedlora("run", "list", "-c", away);
  expect(code).toBe(3);
  expect(stderr).toContain("unavailable");
});

test("plaintext to another machine is refused unless it is asked for", async () => {
  const { code, stderr } = await fedlora("run", "list", "-c", "192.0.2.1:8470");
  expect(code).toBe(2);
  expect(stderr).toContain("192.0.2.1:8470");
  expect(stderr).toContain("insecure-refused");
});

test("an event number that is no number is named", async () => {
  const { code, stderr } = await fedlora("run", "watch", "some-run", "--after", "last", "-c", away);
  expect(code).toBe(2);
  expect(stderr).toContain('--after "last"');
});

test("a policy that is no YAML is told by its path", async () => {
  const files = { data: join(folder, "some.jsonl"), policy: join(folder, "policy.yaml") };
  await writeFile(files.data, JSON.stringify({ text: "hello", label: "ham" }));
  await writeFile(files.policy, "methods: [fedavg");
  const flags = ["-m", folder, "-d", files.data, "-s", join(folder, "state"), "--policy", files.policy];
  const { code, stderr } = await fedlora("client", ...flags);
  expect(code).toBe(2);
  expect(stderr).toContain("policy.yaml");
  expect(stderr).toContain("file-invalid");
});

test("a missing data file is told before anything is connected", async () => {
  const { code, stderr } = await fedlora(
    "client",
    "-m",
    folder,
    "-d",
    join(folder, "none.jsonl"),
    "-s",
    join(folder, "state"),
  );
  expect(code).toBe(2);
  expect(stderr).toContain("none.jsonl");
});

test("the methods print themselves", async () => {
  const { code, stdout } = await fedlora("methods", "--json");
  expect(code).toBe(0);
  expect((JSON.parse(stdout) as { name: string }[]).map(({ name }) => name)).toContain("fedavg");
});
