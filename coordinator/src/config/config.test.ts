import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { optionNames, parseAddress, type CoordinatorConfig } from "./config.js";
import { helpText } from "./help.js";
import { loadConfig } from "./load-config.js";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "fedlora-config-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function load(argv: string[], env: Record<string, string> = {}): Promise<CoordinatorConfig> {
  const loaded = await loadConfig(argv, env);
  if (loaded.kind !== "config") throw new Error(`got ${loaded.kind}`);
  return loaded.config;
}

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test("without anything there are defaults on loopback", async () => {
  expect(await load([])).toMatchObject({
    listen: "127.0.0.1:8470",
    http: "127.0.0.1:9464",
    insecure: false,
    maxUploads: 8,
    models: [],
  });
});

test("flags are stronger than the environment, which is stronger than the file", async () => {
  const path = file("c.json", JSON.stringify({ maxUploads: 2, pollWaitMs: 2000, uploadIdleMs: 2000 }));
  const env = { FEDLORA_CONFIG: path, FEDLORA_MAX_UPLOADS: "3", FEDLORA_POLL_WAIT_MS: "3000" };

  const config = await load(["--max-uploads=4"], env);

  expect(config).toMatchObject({ maxUploads: 4, pollWaitMs: 3000, uploadIdleMs: 2000 });
});

test("flags take a value after a space or an equals sign; booleans may stand alone; some repeat", async () => {
  const argv = ["--listen", "0.0.0.0:1", "--insecure", "--run=a.yaml", "--run", "b.yaml", "--model", "m.json"];

  const config = await load([...argv, "--take-over", "false"]);

  expect(config).toMatchObject({
    listen: "0.0.0.0:1",
    insecure: true,
    takeOver: false,
    runs: ["a.yaml", "b.yaml"],
    models: ["m.json"],
  });
});

test.each([
  [["--lisen", "x"], {}, /unknown flag --lisen.*--listen/],
  [["positional"], {}, /"positional" is no flag/],
  [["--max-uploads", "many"], {}, /--max-uploads "many" must be a number/],
  [["--max-uploads", "0"], {}, /"maxUploads" \(from --max-uploads\)/],
  [["--insecure", "maybe"], {}, /--insecure "maybe" must be true or false/],
  [["--listen", "nowhere"], {}, /"listen" \(from --listen\): must be host:port/],
  [[], { FEDLORA_LOG_LEVEL: "loud" }, /"logLevel" \(from FEDLORA_LOG_LEVEL\)/],
])("%j is refused, naming what and where", async (argv, env, message) => {
  await expect(load(argv, env)).rejects.toMatchObject({
    code: "config-invalid",
    message: expect.stringMatching(message),
  });
});

test("a configuration file that is missing, no JSON or has an unknown option is refused with its path", async () => {
  const unknown = file("unknown.json", '{"maxUpload": 1}');

  await expect(load(["--config", join(folder, "none")])).rejects.toMatchObject({ code: "file-missing" });
  await expect(load(["--config", file("bad.json", "{")])).rejects.toThrow(/bad\.json" is not JSON/);
  await expect(load(["--config", file("list.json", "[]")])).rejects.toThrow(/JSON object/);
  await expect(load(["--config", unknown])).rejects.toThrow(/"maxUpload" \(from .*unknown\.json\).*known options/);
});

test("help names every option", async () => {
  expect((await loadConfig(["--help"], {})).kind).toBe("help");
  expect((await loadConfig(["-h"], {})).kind).toBe("help");
  expect((await loadConfig(["--version"], {})).kind).toBe("version");
  const lines = helpText()
    .split("\n")
    .filter((line) => /^ {2}--/.test(line));
  expect(lines).toHaveLength(optionNames.length + 3);
  for (const line of lines) expect(line).toMatch(/^ {2}--\S+( FILE)? +\S/);
});

test("addresses are split at the port", () => {
  expect(parseAddress("localhost:80")).toEqual({ host: "localhost", port: 80 });
  expect(parseAddress("[::1]:0")).toEqual({ host: "::1", port: 0 });
  expect(() => parseAddress("x:99999")).toThrow(/port/);
});
