// Original file: proto/fedlora/v1/coordinator.proto

import type { EvaluationCounts as _fedlora_v1_EvaluationCounts, EvaluationCounts__Output as _fedlora_v1_EvaluationCounts__Output } from '../../fedlora/v1/EvaluationCounts.js';
import type { Long } from '@grpc/proto-loader';

export interface UpdateMetrics {
  'numExamples'?: (number | string | Long);
  'numSteps'?: (number | string | Long);
  'trainLoss'?: (number | string);
  'evaluation'?: (_fedlora_v1_EvaluationCounts | null);
  'trainMs'?: (number | string);
  'receivedLoss'?: (number | string);
  '_trainLoss'?: "trainLoss";
  '_receivedLoss'?: "receivedLoss";
}

export interface UpdateMetrics__Output {
  'numExamples': (number);
  'numSteps': (number);
  'trainLoss'?: (number);
  'evaluation': (_fedlora_v1_EvaluationCounts__Output | null);
  'trainMs': (number);
  'receivedLoss'?: (number);
  '_trainLoss'?: "trainLoss";
  '_receivedLoss'?: "receivedLoss";
}
