// Original file: proto/fedlora/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface AuditRecord {
  'sequence'?: (number | string | Long);
  'json'?: (string);
}

export interface AuditRecord__Output {
  'sequence': (number);
  'json': (string);
}
