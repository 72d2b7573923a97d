// Original file: proto/fedlora/v1/admin.proto

import type { RunSummary as _fedlora_v1_RunSummary, RunSummary__Output as _fedlora_v1_RunSummary__Output } from '../../fedlora/v1/RunSummary.js';
import type { RoundSummary as _fedlora_v1_RoundSummary, RoundSummary__Output as _fedlora_v1_RoundSummary__Output } from '../../fedlora/v1/RoundSummary.js';
import type { BlobRef as _fedlora_v1_BlobRef, BlobRef__Output as _fedlora_v1_BlobRef__Output } from '../../fedlora/v1/BlobRef.js';

export interface RunResponse {
  'summary'?: (_fedlora_v1_RunSummary | null);
  'specJson'?: (string);
  'rounds'?: (_fedlora_v1_RoundSummary)[];
  'bestRound'?: (number);
  'globalAdapter'?: (_fedlora_v1_BlobRef | null);
  'moreRounds'?: (boolean);
}

export interface RunResponse__Output {
  'summary': (_fedlora_v1_RunSummary__Output | null);
  'specJson': (string);
  'rounds': (_fedlora_v1_RoundSummary__Output)[];
  'bestRound': (number);
  'globalAdapter': (_fedlora_v1_BlobRef__Output | null);
  'moreRounds': (boolean);
}
