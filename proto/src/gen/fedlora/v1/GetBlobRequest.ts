// Original file: proto/fedlora/v1/coordinator.proto

import type { Long } from '@grpc/proto-loader';

export interface GetBlobRequest {
  'blobId'?: (string);
  'offset'?: (number | string | Long);
  'length'?: (number | string | Long);
}

export interface GetBlobRequest__Output {
  'blobId': (string);
  'offset': (number);
  'length': (number);
}
