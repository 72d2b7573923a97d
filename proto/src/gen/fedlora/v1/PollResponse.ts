// Original file: proto/fedlora/v1/coordinator.proto

import type { RoundPlan as _fedlora_v1_RoundPlan, RoundPlan__Output as _fedlora_v1_RoundPlan__Output } from '../../fedlora/v1/RoundPlan.js';
import type { Wait as _fedlora_v1_Wait, Wait__Output as _fedlora_v1_Wait__Output } from '../../fedlora/v1/Wait.js';
import type { RunEnded as _fedlora_v1_RunEnded, RunEnded__Output as _fedlora_v1_RunEnded__Output } from '../../fedlora/v1/RunEnded.js';

export interface PollResponse {
  'plan'?: (_fedlora_v1_RoundPlan | null);
  'wait'?: (_fedlora_v1_Wait | null);
  'ended'?: (_fedlora_v1_RunEnded | null);
  'answer'?: "plan"|"wait"|"ended";
}

export interface PollResponse__Output {
  'plan'?: (_fedlora_v1_RoundPlan__Output | null);
  'wait'?: (_fedlora_v1_Wait__Output | null);
  'ended'?: (_fedlora_v1_RunEnded__Output | null);
  'answer'?: "plan"|"wait"|"ended";
}
