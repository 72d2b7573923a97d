// Original file: proto/fedlora/v1/common.proto

import type { StepTimes as _fedlora_v1_StepTimes, StepTimes__Output as _fedlora_v1_StepTimes__Output } from '../../fedlora/v1/StepTimes.js';
import type { Long } from '@grpc/proto-loader';

export interface Capability {
  'memoryBytes'?: (number | string | Long);
  'stepMs'?: (number | string);
  'uploadBytesPerSecond'?: (number | string);
  'engine'?: (string);
  'engineFingerprint'?: (string);
  'directives'?: (string)[];
  'codecs'?: (string)[];
  'maxRank'?: (number);
  'measurements'?: ({[key: string]: number | string});
  'stepTimes'?: (_fedlora_v1_StepTimes | null);
  'deviceClass'?: (string);
}

export interface Capability__Output {
  'memoryBytes': (number);
  'stepMs': (number);
  'uploadBytesPerSecond': (number);
  'engine': (string);
  'engineFingerprint': (string);
  'directives': (string)[];
  'codecs': (string)[];
  'maxRank': (number);
  'measurements': ({[key: string]: number});
  'stepTimes': (_fedlora_v1_StepTimes__Output | null);
  'deviceClass': (string);
}
