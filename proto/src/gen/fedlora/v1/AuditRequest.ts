// Original file: proto/fedlora/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface AuditRequest {
  'runId'?: (string);
  'afterSequence'?: (number | string | Long);
}

export interface AuditRequest__Output {
  'runId': (string);
  'afterSequence': (number);
}
