import { FedLoraError, isBaseModelHash, isClientId, type BaseModelHash, type ClientId } from "@fedlora/core";
import { publicKeyBytes, signatureBytes, verifyEd25519 } from "../ed25519.js";
import type { EnrolRequest, EnrolRequest__Output } from "../gen/fedlora/v1/EnrolRequest.js";
import type { EnrolResponse, EnrolResponse__Output } from "../gen/fedlora/v1/EnrolResponse.js";
import { limits, protocolVersion } from "../limits.js";
import { enrolProofBytes } from "../signed-bytes.js";
import { capabilityOrNone, capabilityToWire, type CapabilityReport } from "./capability.js";
import { checkBytes, checkId, checkInt, checkList, checkText } from "./checks.js";

export interface Enrolment {
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly baseModelHashes: readonly BaseModelHash[];
  readonly capability: CapabilityReport;
}

/** Checks the version and the proof; throws `protocol-version`, `unauthenticated`, `request-invalid`. */
export function enrolmentFromWire(wire: EnrolRequest__Output): Enrolment {
  const versions = checkList(wire.protocolVersions, "protocol_versions", 32, (value) => value);
  if (!versions.includes(protocolVersion)) {
    throw new FedLoraError(
      "protocol-version",
      `the client speaks protocol version ${versions.join(", ") || "(none)"}, this coordinator ${protocolVersion}`,
      { details: { client: versions.join(","), coordinator: String(protocolVersion) } },
    );
  }
  const publicKey = checkBytes(wire.publicKey, "public_key", publicKeyBytes, publicKeyBytes);
  const nonce = checkBytes(wire.nonce, "nonce", 16, 64);
  const proof = checkBytes(wire.proof, "proof", signatureBytes, signatureBytes);
  if (!verifyEd25519(publicKey, enrolProofBytes(publicKey, nonce), proof)) {
    throw new FedLoraError("unauthenticated", "the enrolment's proof is not a signature by its public key");
  }
  return {
    name: checkText(wire.name, "name", limits.nameChars),
    // A copy: decoded bytes are a view into the message's buffer, which this would otherwise keep alive.
    publicKey: Uint8Array.from(publicKey),
    baseModelHashes: checkBaseModels(wire.baseModelHashes),
    capability: capabilityOrNone(wire.capability),
  };
}

/** `proof` is the client's signature over `enrolProofBytes(publicKey, nonce)`. */
export function enrolmentToWire(
  enrolment: Omit<Enrolment, "baseModelHashes"> & { readonly baseModelHashes: readonly string[] },
  nonce: Uint8Array,
  proof: Uint8Array,
): EnrolRequest {
  return {
    protocolVersions: [protocolVersion],
    publicKey: Buffer.from(enrolment.publicKey),
    nonce: Buffer.from(nonce),
    proof: Buffer.from(proof),
    name: enrolment.name,
    capability: capabilityToWire(enrolment.capability),
    baseModelHashes: [...enrolment.baseModelHashes],
  };
}

export interface EnrolAnswer {
  readonly protocolVersion: number;
  readonly clientId: ClientId;
  readonly session: Uint8Array;
  readonly coordinatorKey: Uint8Array;
  readonly pollWaitMs: number;
  readonly directives: readonly string[];
}

export function enrolAnswerToWire(answer: EnrolAnswer): EnrolResponse {
  return {
    protocolVersion: answer.protocolVersion,
    clientId: answer.clientId,
    session: Buffer.from(answer.session),
    coordinatorPublicKey: Buffer.from(answer.coordinatorKey),
    chunkBytes: limits.chunkBytes,
    pollWaitMs: answer.pollWaitMs,
    directives: [...answer.directives],
  };
}

/** Throws `protocol-version` where the coordinator chose another version or chunk size than this build speaks. */
export function enrolAnswerFromWire(wire: EnrolResponse__Output): EnrolAnswer {
  if (wire.protocolVersion !== protocolVersion || wire.chunkBytes !== limits.chunkBytes) {
    throw new FedLoraError(
      "protocol-version",
      `the coordinator answers with protocol version ${wire.protocolVersion} and chunks of ${wire.chunkBytes} bytes; ` +
        `this client speaks version ${protocolVersion} with ${limits.chunkBytes}`,
    );
  }
  return {
    protocolVersion: wire.protocolVersion,
    clientId: checkId(wire.clientId, isClientId, "client_id"),
    session: Uint8Array.from(checkBytes(wire.session, "session", 1, 512)),
    coordinatorKey: Uint8Array.from(
      checkBytes(wire.coordinatorPublicKey, "coordinator_public_key", publicKeyBytes, publicKeyBytes),
    ),
    pollWaitMs: checkInt(wire.pollWaitMs, "poll_wait_ms", 0, limits.pollWaitMs),
    directives: checkList(wire.directives, "directives", limits.wordEntries, (value, field) =>
      checkText(value, field, limits.keyChars, 1),
    ),
  };
}

export function checkBaseModels(values: readonly string[]): readonly BaseModelHash[] {
  return checkList(values, "base_model_hashes", limits.baseModels, (value, field) =>
    checkId(value, isBaseModelHash, field),
  );
}
