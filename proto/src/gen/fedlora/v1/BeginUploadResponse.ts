// Original file: proto/fedlora/v1/coordinator.proto

import type { Long } from '@grpc/proto-loader';

export interface BeginUploadResponse {
  'uploadId'?: (string);
  'nextOffset'?: (number | string | Long);
  'chunkBytes'?: (number);
  'complete'?: (boolean);
}

export interface BeginUploadResponse__Output {
  'uploadId': (string);
  'nextOffset': (number);
  'chunkBytes': (number);
  'complete': (boolean);
}
