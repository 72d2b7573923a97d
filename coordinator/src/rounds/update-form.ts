import type { PlanInstructions, TensorLayout } from "@fedlora/core";

import type { BlobStore } from "../storage/storage.js";
import type { BlobRef } from "./run-events.js";

/** What a plan's update looks like. */
export interface UpdateForm {
  /** As it travels. */
  readonly layout: TensorLayout;
  /** The uploaded tensors decoded: F32, in the client's shapes. */
  readonly values: TensorLayout;
  readonly codec: string;
}

/** Reads it from a plan's instructions, which this coordinator wrote. */
export async function readUpdateForm(blobs: BlobStore, { id, size }: BlobRef): Promise<UpdateForm> {
  const bytes = await blobs.read(id, 0, size);
  const { uploadLayout, roles, codec } = JSON.parse(Buffer.from(bytes).toString("utf8")) as PlanInstructions;
  return { layout: uploadLayout, values: roles.filter((role) => role.uploaded).map(({ spec }) => spec), codec };
}
