import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { loadAdapterFolder, saveAdapterFolder, type BaseModel } from "@fedlora/client-sdk";
import { initialAdapter, readSafetensors, resolveAdapter } from "@fedlora/core";
import type { FederationResult } from "./federation.js";
import { adapted, heldOutOf, openWorkbench, predict, type ReferenceOptions } from "./reference-lines.js";
import type { ClassifiedMail } from "./report.js";

const threeMails = [
  "Congratulations! You have been selected to receive a FREE vacation. Click here now, this offer ends tonight!!!",
  "Re: kernel panic on boot. Have you tried the older initrd? I had the same on my laptop and an upgrade of mkinitrd helped.",
  "Lunch on Thursday? The new place near the office has a decent menu, I can book a table for six.",
];

/**
 * Writes the last round's adapter as a PEFT folder; not the best one: choosing by the held-out mail would flatter the
 * federation.
 */
export async function saveFinalAdapter(
  { admin, runId, detail }: FederationResult,
  baseModel: BaseModel,
  folder: string,
): Promise<void> {
  const exported = await admin.getExport(runId, detail.spec.rounds);
  const { tensors } = readSafetensors(await admin.getBlob(exported.adapter.id));
  await mkdir(folder, { recursive: true });
  // Whatever the variant, what is exported are plain LoRA pairs.
  const spec = { ...detail.spec.adapter, variant: "lora" as const };
  const saved = { spec, task: detail.spec.task, tensors };
  await saveAdapterFolder(folder, saved, baseModel.manifest, "sentence-transformers/all-MiniLM-L6-v2");
}

export interface UsedAdapter {
  /** Label indices on the held-out mails. */
  readonly federated: readonly number[];
  readonly untrained: readonly number[];
  readonly mails: readonly ClassifiedMail[];
}

/** Label indices on the held-out mails, with the adapter of a folder. */
export async function predictWith(
  options: Omit<ReferenceOptions, "spec"> & { readonly adapterFolder: string },
): Promise<readonly number[]> {
  const workbench = openWorkbench(options);
  try {
    const model = workbench.adapt(await loadAdapterFolder(options.adapterFolder, options.baseModel.manifest));
    return await predict(model, heldOutOf(options.mailboxes), options.signal);
  } finally {
    await workbench.close();
  }
}

/** Loads the folder that was written, as a stranger would, and uses it; beside it the adapter that the run began with. */
export async function useAdapter(options: ReferenceOptions & { readonly adapterFolder: string }): Promise<UsedAdapter> {
  const { baseModel, spec, mailboxes, adapterFolder, signal } = options;
  const { manifest } = baseModel;
  const workbench = openWorkbench(options);
  try {
    const start = initialAdapter(resolveAdapter(spec.adapter, manifest, spec.task), spec.training.seed);
    const untrained = await predict(adapted(workbench, spec, start), heldOutOf(mailboxes), signal);
    const model = workbench.adapt(await loadAdapterFolder(adapterFolder, manifest));
    const federated = await predict(model, heldOutOf(mailboxes), signal);
    const classified = await model.classify(threeMails, { signal });
    const mails = threeMails.map((text, index) => ({
      text,
      label: classified[index]?.label ?? "",
      score: classified[index]?.score ?? 0,
    }));
    return { federated, untrained, mails };
  } finally {
    await workbench.close();
  }
}

/** SHA-256 of a PEFT folder's weights, in hex. */
export async function hashOfAdapter(folder: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(join(folder, "adapter_model.safetensors")))
    .digest("hex");
}
