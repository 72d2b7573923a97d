// Original file: proto/fedlora/v1/common.proto

import type { BlobRef as _fedlora_v1_BlobRef, BlobRef__Output as _fedlora_v1_BlobRef__Output } from '../../fedlora/v1/BlobRef.js';

export interface BaseDelta {
  'fromVersion'?: (number);
  'toVersion'?: (number);
  'blob'?: (_fedlora_v1_BlobRef | null);
}

export interface BaseDelta__Output {
  'fromVersion': (number);
  'toVersion': (number);
  'blob': (_fedlora_v1_BlobRef__Output | null);
}
