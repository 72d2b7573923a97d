// Original file: proto/fedlora/v1/common.proto

import type { Long } from '@grpc/proto-loader';

export interface ErrorDetail {
  'code'?: (string);
  'message'?: (string);
  'details'?: ({[key: string]: string});
  'retryAfterMs'?: (number | string | Long);
}

export interface ErrorDetail__Output {
  'code': (string);
  'message': (string);
  'details': ({[key: string]: string});
  'retryAfterMs': (number);
}
