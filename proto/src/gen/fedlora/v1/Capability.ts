// Original file: proto/fedlora/v1/common.proto

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
}
