// Original file: proto/fedlora/v1/coordinator.proto

import type { Capability as _fedlora_v1_Capability, Capability__Output as _fedlora_v1_Capability__Output } from '../../fedlora/v1/Capability.js';
import type { Long } from '@grpc/proto-loader';

export interface ReportRequest {
  'planId'?: (string);
  'stage'?: (string);
  'step'?: (number | string | Long);
  'totalSteps'?: (number | string | Long);
  'loss'?: (number | string);
  'capability'?: (_fedlora_v1_Capability | null);
  '_loss'?: "loss";
}

export interface ReportRequest__Output {
  'planId': (string);
  'stage': (string);
  'step': (number);
  'totalSteps': (number);
  'loss'?: (number);
  'capability': (_fedlora_v1_Capability__Output | null);
  '_loss'?: "loss";
}
