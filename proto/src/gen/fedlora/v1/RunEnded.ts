// Original file: proto/fedlora/v1/coordinator.proto

import type { BlobRef as _fedlora_v1_BlobRef, BlobRef__Output as _fedlora_v1_BlobRef__Output } from '../../fedlora/v1/BlobRef.js';

export interface RunEnded {
  'runId'?: (string);
  'state'?: (string);
  'globalAdapter'?: (_fedlora_v1_BlobRef | null);
  'instructions'?: (_fedlora_v1_BlobRef | null);
}

export interface RunEnded__Output {
  'runId': (string);
  'state': (string);
  'globalAdapter': (_fedlora_v1_BlobRef__Output | null);
  'instructions': (_fedlora_v1_BlobRef__Output | null);
}
