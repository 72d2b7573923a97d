// Original file: proto/fedlora/v1/coordinator.proto

import type { Long } from '@grpc/proto-loader';

export interface Wait {
  'retryAfterMs'?: (number | string | Long);
  'reason'?: (string);
}

export interface Wait__Output {
  'retryAfterMs': (number);
  'reason': (string);
}
