// Original file: proto/fedlora/v1/coordinator.proto

import type { Long } from '@grpc/proto-loader';

export interface ReportResponse {
  'planOpen'?: (boolean);
  'deadlineMs'?: (number | string | Long);
}

export interface ReportResponse__Output {
  'planOpen': (boolean);
  'deadlineMs': (number);
}
