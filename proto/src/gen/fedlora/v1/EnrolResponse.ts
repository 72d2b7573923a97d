// Original file: proto/fedlora/v1/coordinator.proto

import type { Long } from '@grpc/proto-loader';

export interface EnrolResponse {
  'protocolVersion'?: (number);
  'clientId'?: (string);
  'session'?: (Buffer | Uint8Array | string);
  'coordinatorPublicKey'?: (Buffer | Uint8Array | string);
  'chunkBytes'?: (number);
  'pollWaitMs'?: (number | string | Long);
  'directives'?: (string)[];
}

export interface EnrolResponse__Output {
  'protocolVersion': (number);
  'clientId': (string);
  'session': (Buffer);
  'coordinatorPublicKey': (Buffer);
  'chunkBytes': (number);
  'pollWaitMs': (number);
  'directives': (string)[];
}
