// Original file: proto/fedlora/v1/coordinator.proto

import type { PlanKind as _fedlora_v1_PlanKind, PlanKind__Output as _fedlora_v1_PlanKind__Output } from '../../fedlora/v1/PlanKind.js';
import type { BlobRef as _fedlora_v1_BlobRef, BlobRef__Output as _fedlora_v1_BlobRef__Output } from '../../fedlora/v1/BlobRef.js';
import type { Signature as _fedlora_v1_Signature, Signature__Output as _fedlora_v1_Signature__Output } from '../../fedlora/v1/Signature.js';
import type { BaseDelta as _fedlora_v1_BaseDelta, BaseDelta__Output as _fedlora_v1_BaseDelta__Output } from '../../fedlora/v1/BaseDelta.js';
import type { Long } from '@grpc/proto-loader';

export interface RoundPlan {
  'planId'?: (string);
  'runId'?: (string);
  'round'?: (number);
  'kind'?: (_fedlora_v1_PlanKind);
  'method'?: (string);
  'methodVersion'?: (number);
  'baseModelHash'?: (string);
  'baseVersion'?: (number);
  'instructions'?: (_fedlora_v1_BlobRef | null);
  'globalAdapter'?: (_fedlora_v1_BlobRef | null);
  'frozen'?: (_fedlora_v1_BlobRef)[];
  'deadlineMs'?: (number | string | Long);
  'downloadBytes'?: (number | string | Long);
  'uploadBytes'?: (number | string | Long);
  'signature'?: (_fedlora_v1_Signature | null);
  'baseDeltas'?: (_fedlora_v1_BaseDelta)[];
}

export interface RoundPlan__Output {
  'planId': (string);
  'runId': (string);
  'round': (number);
  'kind': (_fedlora_v1_PlanKind__Output);
  'method': (string);
  'methodVersion': (number);
  'baseModelHash': (string);
  'baseVersion': (number);
  'instructions': (_fedlora_v1_BlobRef__Output | null);
  'globalAdapter': (_fedlora_v1_BlobRef__Output | null);
  'frozen': (_fedlora_v1_BlobRef__Output)[];
  'deadlineMs': (number);
  'downloadBytes': (number);
  'uploadBytes': (number);
  'signature': (_fedlora_v1_Signature__Output | null);
  'baseDeltas': (_fedlora_v1_BaseDelta__Output)[];
}
