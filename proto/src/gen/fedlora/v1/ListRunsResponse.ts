// Original file: proto/fedlora/v1/admin.proto

import type { RunSummary as _fedlora_v1_RunSummary, RunSummary__Output as _fedlora_v1_RunSummary__Output } from '../../fedlora/v1/RunSummary.js';

export interface ListRunsResponse {
  'runs'?: (_fedlora_v1_RunSummary)[];
}

export interface ListRunsResponse__Output {
  'runs': (_fedlora_v1_RunSummary__Output)[];
}
