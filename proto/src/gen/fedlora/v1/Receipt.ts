// Original file: proto/fedlora/v1/coordinator.proto

import type { Signature as _fedlora_v1_Signature, Signature__Output as _fedlora_v1_Signature__Output } from '../../fedlora/v1/Signature.js';
import type { Long } from '@grpc/proto-loader';

export interface Receipt {
  'planId'?: (string);
  'runId'?: (string);
  'round'?: (number);
  'clientId'?: (string);
  'blobId'?: (string);
  'sequence'?: (number | string | Long);
  'signature'?: (_fedlora_v1_Signature | null);
}

export interface Receipt__Output {
  'planId': (string);
  'runId': (string);
  'round': (number);
  'clientId': (string);
  'blobId': (string);
  'sequence': (number);
  'signature': (_fedlora_v1_Signature__Output | null);
}
