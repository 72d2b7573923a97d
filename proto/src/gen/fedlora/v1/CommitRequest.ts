// Original file: proto/fedlora/v1/coordinator.proto

import type { UpdateMetrics as _fedlora_v1_UpdateMetrics, UpdateMetrics__Output as _fedlora_v1_UpdateMetrics__Output } from '../../fedlora/v1/UpdateMetrics.js';

export interface CommitRequest {
  'planId'?: (string);
  'uploadId'?: (string);
  'metrics'?: (_fedlora_v1_UpdateMetrics | null);
}

export interface CommitRequest__Output {
  'planId': (string);
  'uploadId': (string);
  'metrics': (_fedlora_v1_UpdateMetrics__Output | null);
}
