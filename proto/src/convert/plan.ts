import {
  FedLoraError,
  isBaseModelHash,
  isPlanId,
  isRunId,
  type BlobId,
  type PlanKind,
  type RoundPlan,
} from "@fedlora/core";
import { messages } from "../definitions.js";
import { keyIdOf, verifyEd25519, type Signer } from "../ed25519.js";
import type { RoundPlan as WirePlan, RoundPlan__Output } from "../gen/fedlora/v1/RoundPlan.js";
import { limits } from "../limits.js";
import { planBytes, type BlobSizes } from "../signed-bytes.js";
import { baseDeltaFromWire } from "./base-delta.js";
import { blobRefFromWire, type BlobReference } from "./blob-ref.js";
import { checkDuration, checkId, checkInt, checkList, checkPresent, checkText, invalid } from "./checks.js";
import { signatureToWire } from "./signature.js";

/** A plan as it arrives: with the sizes of its blobs. */
export interface ReceivedPlan {
  readonly plan: RoundPlan;
  readonly refs: BlobSizes;
}

/** Signs the plan and checks that its envelope stays below 16 KiB. `sizes` must hold every blob that the plan names. */
export function planToWire(plan: RoundPlan, sizes: BlobSizes, signer: Signer): WirePlan {
  const ref = (id: BlobId): { blobId: string; size: number } => {
    const size = sizes[id];
    if (size === undefined) throw new FedLoraError("internal", `plan ${plan.planId} names blob ${id} of unknown size`);
    return { blobId: id, size };
  };
  const wire: WirePlan = {
    planId: plan.planId,
    runId: plan.runId,
    round: plan.round,
    kind: plan.kind === "train" ? "PLAN_KIND_TRAIN" : "PLAN_KIND_EVALUATE",
    method: plan.method.name,
    methodVersion: plan.method.version,
    baseModelHash: plan.baseModelHash,
    baseVersion: plan.baseVersion,
    instructions: ref(plan.instructions),
    globalAdapter: ref(plan.globalAdapter),
    frozen: plan.frozen.map(ref),
    deadlineMs: plan.deadlineMs,
    downloadBytes: plan.downloadBytes,
    uploadBytes: plan.uploadBytes,
    baseDeltas: (plan.baseDeltas ?? []).map(({ fromVersion, toVersion, blob }) => ({
      fromVersion,
      toVersion,
      blob: ref(blob),
    })),
    signature: signatureToWire(keyIdOf(signer.publicKey), signer.sign(planBytes(plan, sizes))),
  };
  const size = messages.roundPlan.serialize(wire).byteLength;
  if (size > limits.planBytes) {
    throw new FedLoraError("internal", `plan ${plan.planId} has ${size} bytes; at most ${limits.planBytes} may travel`);
  }
  return wire;
}

/** Checks every field and the coordinator's signature; throws `request-invalid`, `unauthenticated`. */
export function planFromWire(wire: RoundPlan__Output, coordinatorKey: Uint8Array): ReceivedPlan {
  const instructions = blobRefFromWire(checkPresent(wire.instructions, "plan.instructions"), "plan.instructions");
  const globalAdapter = blobRefFromWire(checkPresent(wire.globalAdapter, "plan.global_adapter"), "plan.global_adapter");
  const frozen = checkList(wire.frozen, "plan.frozen", limits.frozenBlobs, blobRefFromWire);
  const baseDeltas = checkList(wire.baseDeltas, "plan.base_deltas", limits.baseDeltas, baseDeltaFromWire);
  const plan: RoundPlan = {
    planId: checkId(wire.planId, isPlanId, "plan.plan_id"),
    runId: checkId(wire.runId, isRunId, "plan.run_id"),
    round: checkInt(wire.round, "plan.round"),
    kind: kindFromWire(wire.kind),
    method: {
      name: checkText(wire.method, "plan.method", limits.keyChars, 1),
      version: checkInt(wire.methodVersion, "plan.method_version"),
    },
    baseModelHash: checkId(wire.baseModelHash, isBaseModelHash, "plan.base_model_hash"),
    baseVersion: checkInt(wire.baseVersion, "plan.base_version"),
    instructions: instructions.id,
    globalAdapter: globalAdapter.id,
    frozen: frozen.map(({ id }) => id),
    ...(baseDeltas.length === 0
      ? {}
      : { baseDeltas: baseDeltas.map(({ blob, ...link }) => ({ ...link, blob: blob.id })) }),
    deadlineMs: checkDuration(wire.deadlineMs, "plan.deadline_ms"),
    downloadBytes: checkInt(wire.downloadBytes, "plan.download_bytes"),
    uploadBytes: checkInt(wire.uploadBytes, "plan.upload_bytes", 0, limits.blobBytes),
  };
  const refs = sizesOf([instructions, globalAdapter, ...frozen, ...baseDeltas.map(({ blob }) => blob)]);
  const signature = checkPresent(wire.signature, "plan.signature");
  if (!verifyEd25519(coordinatorKey, planBytes(plan, refs), signature.value)) {
    throw new FedLoraError("unauthenticated", `plan ${plan.planId} does not carry the coordinator's signature`);
  }
  return { plan, refs };
}

function sizesOf(refs: readonly BlobReference[]): BlobSizes {
  return Object.fromEntries(refs.map(({ id, size }) => [id, size]));
}

function kindFromWire(kind: RoundPlan__Output["kind"]): PlanKind {
  if (kind === "PLAN_KIND_TRAIN") return "train";
  if (kind === "PLAN_KIND_EVALUATE") return "evaluate";
  throw invalid("plan.kind", `is ${JSON.stringify(kind)}`, "PLAN_KIND_TRAIN or PLAN_KIND_EVALUATE");
}
