// Original file: proto/fedlora/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface AdminBlobChunk {
  'offset'?: (number | string | Long);
  'data'?: (Buffer | Uint8Array | string);
  'sha256'?: (Buffer | Uint8Array | string);
  'total'?: (number | string | Long);
}

export interface AdminBlobChunk__Output {
  'offset': (number);
  'data': (Buffer);
  'sha256': (Buffer);
  'total': (number);
}
