// Original file: proto/fedlora/v1/admin.proto

import type { BlobRef as _fedlora_v1_BlobRef, BlobRef__Output as _fedlora_v1_BlobRef__Output } from '../../fedlora/v1/BlobRef.js';

export interface GetExportResponse {
  'adapter'?: (_fedlora_v1_BlobRef | null);
  'adapterConfigJson'?: (string);
  'round'?: (number);
}

export interface GetExportResponse__Output {
  'adapter': (_fedlora_v1_BlobRef__Output | null);
  'adapterConfigJson': (string);
  'round': (number);
}
