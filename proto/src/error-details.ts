import { FedLoraError, isErrorCode, type ErrorCode, type GrpcStatus } from "@fedlora/core";
import { Metadata, status, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import { messages } from "./definitions.js";
import { limits } from "./limits.js";

/** FedLoraErrors as gRPC statuses and back: the status for every gRPC tool, the coded detail in a trailer for ours. */
export const errorTrailer = "fedlora-error-bin";

export function errorToStatus(error: FedLoraError): StatusObject {
  const message = wellFormed(error.message.slice(0, limits.errorMessageChars));
  const details: Record<string, string> = {};
  for (const [key, value] of Object.entries(error.details).slice(0, limits.errorDetailEntries)) {
    details[key.slice(0, limits.keyChars)] = value.slice(0, limits.errorDetailChars);
  }
  const retryAfterMs = Math.min(Math.max(0, Math.ceil(error.retryAfterMs ?? 0)), limits.durationMs);
  const detail = { code: error.code, message, details, retryAfterMs };
  const metadata = new Metadata();
  metadata.set(errorTrailer, messages.errorDetail.serialize(detail));
  return { code: status[error.status], details: message, metadata };
}

/** grpc-js encodes the message with encodeURI, which throws on half a surrogate pair; a cut may leave one. */
const wellFormed = (text: string): string => Buffer.from(text, "utf8").toString("utf8");

/** What a failed call means; anything that grpc-js or a proxy made up becomes the nearest code of ours. */
export function errorFromStatus(failure: unknown): FedLoraError {
  if (failure instanceof FedLoraError) return failure;
  if (!isServiceError(failure)) return FedLoraError.from(failure);
  return fromTrailer(failure) ?? fromBareStatus(failure);
}

function fromTrailer(failure: ServiceError): FedLoraError | undefined {
  const [trailer] = failure.metadata.get(errorTrailer);
  if (!(trailer instanceof Buffer) || trailer.byteLength > 4 * limits.controlMessageBytes) return undefined;
  try {
    const detail = messages.errorDetail.deserialize(trailer);
    if (!isErrorCode(detail.code)) return undefined;
    return new FedLoraError(detail.code, detail.message.slice(0, limits.errorMessageChars), {
      details: Object.fromEntries(Object.entries(detail.details).slice(0, limits.errorDetailEntries)),
      ...(detail.retryAfterMs > 0 ? { retryAfterMs: Math.min(detail.retryAfterMs, limits.durationMs) } : {}),
      cause: failure,
    });
  } catch {
    return undefined;
  }
}

/** The codes that stand for a status without our trailer. */
const codeOf: Partial<Record<GrpcStatus, ErrorCode>> = {
  INVALID_ARGUMENT: "request-invalid",
  PERMISSION_DENIED: "unauthenticated",
  UNAUTHENTICATED: "unauthenticated",
  RESOURCE_EXHAUSTED: "unavailable",
  CANCELLED: "cancelled",
  DEADLINE_EXCEEDED: "deadline-exceeded",
  UNAVAILABLE: "unavailable",
  UNIMPLEMENTED: "protocol-version",
};

function fromBareStatus(failure: ServiceError): FedLoraError {
  // A length of 0x30xxxxxx to 0x7axxxxxx is text: a proxy or a web server answered with an HTTP page.
  const length = /larger than max \((\d+) vs/.exec(failure.details)?.[1];
  if (length !== undefined && Number(length) >= 0x20202020) {
    const message = "the answer is no gRPC: a web server or proxy answered at this address; check host, port and proxy";
    return new FedLoraError("unavailable", message, { cause: failure });
  }
  if (length !== undefined) return new FedLoraError("request-invalid", failure.details, { cause: failure });
  const name = status[failure.code] as GrpcStatus | undefined;
  const code = (name === undefined ? undefined : codeOf[name]) ?? "internal";
  return new FedLoraError(code, `${name ?? failure.code}: ${failure.details}`, { cause: failure });
}

function isServiceError(failure: unknown): failure is ServiceError {
  return failure instanceof Error && "code" in failure && "metadata" in failure && failure.metadata instanceof Metadata;
}
