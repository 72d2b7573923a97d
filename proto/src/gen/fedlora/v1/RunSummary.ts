// Original file: proto/fedlora/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface RunSummary {
  'runId'?: (string);
  'name'?: (string);
  'state'?: (string);
  'phase'?: (string);
  'round'?: (number);
  'rounds'?: (number);
  'method'?: (string);
  'reason'?: (string);
  'createdMs'?: (number | string | Long);
  'baseModelHash'?: (string);
}

export interface RunSummary__Output {
  'runId': (string);
  'name': (string);
  'state': (string);
  'phase': (string);
  'round': (number);
  'rounds': (number);
  'method': (string);
  'reason': (string);
  'createdMs': (number);
  'baseModelHash': (string);
}
