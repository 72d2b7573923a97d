import { canonicalBytes, type BlobId, type RoundPlan, type UpdateReceipt } from "@fedlora/core";

/**
 * The bytes that signatures of the protocol cover. Each carries its format, so that a signature over one kind of value is
 * never one over another.
 */
/** Sizes in bytes of the blobs that a plan names. */
export type BlobSizes = Readonly<Record<BlobId, number>>;

/** What the coordinator signs of a plan: all of its fields, and the sizes of its blobs. */
export function planBytes(plan: RoundPlan, sizes: BlobSizes): Uint8Array {
  const ref = (id: BlobId): { blobId: string; size: number | undefined } => ({ blobId: id, size: sizes[id] });
  return canonicalBytes({
    format: "fedlora-plan/1",
    planId: plan.planId,
    runId: plan.runId,
    round: plan.round,
    kind: plan.kind,
    method: { name: plan.method.name, version: plan.method.version },
    baseModelHash: plan.baseModelHash,
    baseVersion: plan.baseVersion,
    instructions: ref(plan.instructions),
    globalAdapter: ref(plan.globalAdapter),
    frozen: plan.frozen.map(ref),
    deadlineMs: plan.deadlineMs,
    downloadBytes: plan.downloadBytes,
    uploadBytes: plan.uploadBytes,
    // Only where there are any, so that a plan without keeps the bytes that it always had.
    ...(plan.baseDeltas === undefined || plan.baseDeltas.length === 0
      ? {}
      : { baseDeltas: plan.baseDeltas.map(({ blob, ...link }) => ({ ...link, blob: ref(blob) })) }),
  });
}

/** What the coordinator signs when it accepts an update. */
export function receiptBytes(receipt: Omit<UpdateReceipt, "signature">): Uint8Array {
  return canonicalBytes({
    format: "fedlora-receipt/1",
    planId: receipt.planId,
    runId: receipt.runId,
    round: receipt.round,
    clientId: receipt.clientId,
    blobId: receipt.blobId,
    sequence: receipt.sequence,
  });
}

/** What a client signs to prove that it holds the key it enrols with: "fedlora-enrol-v1" || publicKey || nonce. */
export function enrolProofBytes(publicKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from("fedlora-enrol-v1"), publicKey, nonce]);
}
