// Original file: proto/fedlora/v1/coordinator.proto

import type { BlobRef as _fedlora_v1_BlobRef, BlobRef__Output as _fedlora_v1_BlobRef__Output } from '../../fedlora/v1/BlobRef.js';
import type { BaseDelta as _fedlora_v1_BaseDelta, BaseDelta__Output as _fedlora_v1_BaseDelta__Output } from '../../fedlora/v1/BaseDelta.js';

export interface RunEnded {
  'runId'?: (string);
  'state'?: (string);
  'globalAdapter'?: (_fedlora_v1_BlobRef | null);
  'instructions'?: (_fedlora_v1_BlobRef | null);
  'baseDeltas'?: (_fedlora_v1_BaseDelta)[];
}

export interface RunEnded__Output {
  'runId': (string);
  'state': (string);
  'globalAdapter': (_fedlora_v1_BlobRef__Output | null);
  'instructions': (_fedlora_v1_BlobRef__Output | null);
  'baseDeltas': (_fedlora_v1_BaseDelta__Output)[];
}
