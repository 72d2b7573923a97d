// Original file: proto/fedlora/v1/common.proto

import type { Long } from '@grpc/proto-loader';

export interface StepTimes {
  'forwardMs'?: (number | string);
  'layerMs'?: (number | string);
  'batchTokens'?: (number | string | Long);
  'forwardBytes'?: (number | string | Long);
  'layerBytes'?: (number | string | Long);
  'runId'?: (string);
}

export interface StepTimes__Output {
  'forwardMs': (number);
  'layerMs': (number);
  'batchTokens': (number);
  'forwardBytes': (number);
  'layerBytes': (number);
  'runId': (string);
}
