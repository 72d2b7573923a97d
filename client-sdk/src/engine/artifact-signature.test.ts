import { generateKeyPairSync } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openSignedArtifact, signArtifact } from "./artifact-signature.js";
import { GoldenModel } from "./testing/golden-model.js";

function newKey(): string {
  return generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString();
}

async function compiled(): Promise<string> {
  const golden = new GoldenModel("llama-tied");
  const { folder } = await golden.compile(golden.request("evaluate"));
  return folder;
}

test("an artifact signed by a pinned key opens", async () => {
  const folder = await compiled();

  const publicKey = await signArtifact(folder, newKey());

  const artifact = await openSignedArtifact(folder, [publicKey]);
  expect(artifact.manifest.request.purpose).toBe("evaluate");
});

test("an unsigned artifact, and one signed by a stranger, are refused", async () => {
  const folder = await compiled();
  await expect(openSignedArtifact(folder, [])).rejects.toMatchObject({ code: "artifact-untrusted" });

  const publicKey = await signArtifact(folder, newKey());

  await expect(openSignedArtifact(folder, [])).rejects.toMatchObject({ code: "artifact-untrusted" });
  await expect(openSignedArtifact(folder, ["0".repeat(64)])).rejects.toMatchObject({
    code: "artifact-untrusted",
    message: expect.stringContaining(publicKey) as string,
  });
});

test("a changed description or graph is refused", async () => {
  const folder = await compiled();
  const publicKey = await signArtifact(folder, newKey());
  const manifestPath = join(folder, "artifact.json");
  const manifest = await readFile(manifestPath, "utf8");

  await writeFile(manifestPath, manifest.replace('"batch": 3', '"batch": 4'));
  await expect(openSignedArtifact(folder, [publicKey])).rejects.toMatchObject({ code: "artifact-untrusted" });

  await writeFile(manifestPath, manifest);
  const graphPath = join(folder, "evaluate.onnx");
  await writeFile(graphPath, Buffer.concat([await readFile(graphPath), Buffer.from([0])]));
  await expect(openSignedArtifact(folder, [publicKey])).rejects.toMatchObject({ code: "artifact-invalid" });
});

test("only Ed25519 keys sign", async () => {
  const folder = await compiled();
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

  const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString();

  await expect(signArtifact(folder, pem)).rejects.toMatchObject({ code: "config-invalid" });
  await expect(signArtifact(folder, "no key")).rejects.toMatchObject({ code: "config-invalid" });
});
