// Original file: proto/fedlora/v1/admin.proto

import type { BlobRef as _fedlora_v1_BlobRef, BlobRef__Output as _fedlora_v1_BlobRef__Output } from '../../fedlora/v1/BlobRef.js';

export interface AdminPutBlobRequest {
  'blob'?: (_fedlora_v1_BlobRef | null);
  'data'?: (Buffer | Uint8Array | string);
}

export interface AdminPutBlobRequest__Output {
  'blob': (_fedlora_v1_BlobRef__Output | null);
  'data': (Buffer);
}
