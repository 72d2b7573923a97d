// Original file: proto/fedlora/v1/coordinator.proto

import type { Receipt as _fedlora_v1_Receipt, Receipt__Output as _fedlora_v1_Receipt__Output } from '../../fedlora/v1/Receipt.js';

export interface CommitResponse {
  'receipt'?: (_fedlora_v1_Receipt | null);
}

export interface CommitResponse__Output {
  'receipt': (_fedlora_v1_Receipt__Output | null);
}
