// Original file: proto/fedlora/v1/admin.proto

import type { EvaluationSummary as _fedlora_v1_EvaluationSummary, EvaluationSummary__Output as _fedlora_v1_EvaluationSummary__Output } from '../../fedlora/v1/EvaluationSummary.js';
import type { Long } from '@grpc/proto-loader';

export interface RoundSummary {
  'round'?: (number);
  'planned'?: (number);
  'accepted'?: (number);
  'refused'?: (number);
  'declined'?: (number);
  'dropouts'?: (number);
  'trainLoss'?: (number | string);
  'evaluation'?: (_fedlora_v1_EvaluationSummary | null);
  'bytesUp'?: (number | string | Long);
  'bytesDown'?: (number | string | Long);
  'durationMs'?: (number | string | Long);
  'adapterBlobId'?: (string);
  'methodMetrics'?: ({[key: string]: number | string});
  '_trainLoss'?: "trainLoss";
}

export interface RoundSummary__Output {
  'round': (number);
  'planned': (number);
  'accepted': (number);
  'refused': (number);
  'declined': (number);
  'dropouts': (number);
  'trainLoss'?: (number);
  'evaluation': (_fedlora_v1_EvaluationSummary__Output | null);
  'bytesUp': (number);
  'bytesDown': (number);
  'durationMs': (number);
  'adapterBlobId': (string);
  'methodMetrics': ({[key: string]: number});
  '_trainLoss'?: "trainLoss";
}
