import { FedLoraError } from "@fedlora/core";
import type { ServiceDefinition } from "@grpc/grpc-js";
import { fromJSON, type MessageTypeDefinition } from "@grpc/proto-loader";
import type { ProtoGrpcType as AdminTypes } from "./gen/admin.js";
import type { ProtoGrpcType as CoordinatorTypes } from "./gen/coordinator.js";
import { descriptor } from "./gen/descriptor.js";
import type { ErrorDetail, ErrorDetail__Output } from "./gen/fedlora/v1/ErrorDetail.js";
import type { RoundPlan, RoundPlan__Output } from "./gen/fedlora/v1/RoundPlan.js";
import { limits } from "./limits.js";

/**
 * The services as grpc-js wants them. The schema is the one of fedlora/v1/*.proto, carried as a generated module, so that
 * a bundled client needs no file beside it. 64-bit integers are numbers (converters refuse what is not exact), bytes are
 * Buffers, enums their names, absent messages null.
 */
const loaded = fromJSON(descriptor as Parameters<typeof fromJSON>[0], {
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});

/** What a request became that could not be decoded or is longer than its method allows; handlers answer with `error`. */
export class RefusedMessage {
  readonly error: FedLoraError;

  constructor(error: FedLoraError) {
    this.error = error;
  }
}

/** Methods that carry chunks, manifests or lists; every other message is a control message. */
const dataMethods = new Set(["PutChunk", "PutChunks", "RegisterModel", "CreateRun"]);

export const coordinatorService = withLimits(
  loaded["fedlora.v1.Coordinator"] as unknown as CoordinatorTypes["fedlora"]["v1"]["Coordinator"]["service"],
);
export const adminService = withLimits(
  loaded["fedlora.v1.Admin"] as unknown as AdminTypes["fedlora"]["v1"]["Admin"]["service"],
);

/** Messages that are encoded outside of a call. */
export const messages = {
  errorDetail: loaded["fedlora.v1.ErrorDetail"] as unknown as MessageTypeDefinition<ErrorDetail, ErrorDetail__Output>,
  roundPlan: loaded["fedlora.v1.RoundPlan"] as unknown as MessageTypeDefinition<RoundPlan, RoundPlan__Output>,
};

/**
 * grpc-js answers a request that it cannot decode with INTERNAL and no trailer. These definitions hand such a request to
 * the handler instead, as a RefusedMessage, so that it gets a coded error like everything else.
 */
function withLimits<T extends ServiceDefinition>(service: T): T {
  const entries = Object.entries(service).map(([name, method]) => {
    const maxBytes = dataMethods.has(name) ? limits.dataMessageBytes : limits.controlMessageBytes;
    const requestDeserialize = (bytes: Buffer): object => {
      if (bytes.byteLength > maxBytes) {
        const message = `a ${name} request of ${bytes.byteLength} bytes; at most ${maxBytes} are allowed`;
        return new RefusedMessage(new FedLoraError("request-invalid", message));
      }
      try {
        return method.requestDeserialize(bytes) as object;
      } catch (error) {
        const message = `a ${name} request that is no such message: ${(error as Error).message}`;
        return new RefusedMessage(new FedLoraError("request-invalid", message, { cause: error }));
      }
    };
    return [name, { ...method, requestDeserialize }];
  });
  return Object.fromEntries(entries) as T;
}
