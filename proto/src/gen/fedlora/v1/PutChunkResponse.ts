// Original file: proto/fedlora/v1/coordinator.proto

import type { Long } from '@grpc/proto-loader';

export interface PutChunkResponse {
  'nextOffset'?: (number | string | Long);
}

export interface PutChunkResponse__Output {
  'nextOffset': (number);
}
