// Original file: proto/fedlora/v1/coordinator.proto

import type { Capability as _fedlora_v1_Capability, Capability__Output as _fedlora_v1_Capability__Output } from '../../fedlora/v1/Capability.js';
import type { Long } from '@grpc/proto-loader';

export interface PollRequest {
  'waitMs'?: (number | string | Long);
  'capability'?: (_fedlora_v1_Capability | null);
  'runId'?: (string);
  'baseModelHashes'?: (string)[];
}

export interface PollRequest__Output {
  'waitMs': (number);
  'capability': (_fedlora_v1_Capability__Output | null);
  'runId': (string);
  'baseModelHashes': (string)[];
}
