// Original file: proto/fedlora/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface RunEvent {
  'sequence'?: (number | string | Long);
  'kind'?: (string);
  'round'?: (number);
  'clientId'?: (string);
  'atMs'?: (number | string | Long);
  'json'?: (string);
}

export interface RunEvent__Output {
  'sequence': (number);
  'kind': (string);
  'round': (number);
  'clientId': (string);
  'atMs': (number);
  'json': (string);
}
