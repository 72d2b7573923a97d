// Original file: proto/fedlora/v1/common.proto

import type { Long } from '@grpc/proto-loader';

export interface BlobRef {
  'blobId'?: (string);
  'size'?: (number | string | Long);
}

export interface BlobRef__Output {
  'blobId': (string);
  'size': (number);
}
