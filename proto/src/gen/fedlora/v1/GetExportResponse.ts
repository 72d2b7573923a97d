// Original file: proto/fedlora/v1/admin.proto

import type { BlobRef as _fedlora_v1_BlobRef, BlobRef__Output as _fedlora_v1_BlobRef__Output } from '../../fedlora/v1/BlobRef.js';
import type { BaseDelta as _fedlora_v1_BaseDelta, BaseDelta__Output as _fedlora_v1_BaseDelta__Output } from '../../fedlora/v1/BaseDelta.js';

export interface GetExportResponse {
  'adapter'?: (_fedlora_v1_BlobRef | null);
  'adapterConfigJson'?: (string);
  'round'?: (number);
  'baseDeltas'?: (_fedlora_v1_BaseDelta)[];
}

export interface GetExportResponse__Output {
  'adapter': (_fedlora_v1_BlobRef__Output | null);
  'adapterConfigJson': (string);
  'round': (number);
  'baseDeltas': (_fedlora_v1_BaseDelta__Output)[];
}
