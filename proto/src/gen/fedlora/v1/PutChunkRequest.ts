// Original file: proto/fedlora/v1/coordinator.proto

import type { Long } from '@grpc/proto-loader';

export interface PutChunkRequest {
  'uploadId'?: (string);
  'offset'?: (number | string | Long);
  'data'?: (Buffer | Uint8Array | string);
  'sha256'?: (Buffer | Uint8Array | string);
}

export interface PutChunkRequest__Output {
  'uploadId': (string);
  'offset': (number);
  'data': (Buffer);
  'sha256': (Buffer);
}
