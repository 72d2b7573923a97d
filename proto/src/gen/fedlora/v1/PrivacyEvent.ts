// Original file: proto/fedlora/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface PrivacyEvent {
  'mechanism'?: (string);
  'noiseMultiplier'?: (number | string);
  'samplingRate'?: (number | string);
  'reason'?: (string);
  'count'?: (number | string | Long);
}

export interface PrivacyEvent__Output {
  'mechanism': (string);
  'noiseMultiplier': (number);
  'samplingRate': (number);
  'reason': (string);
  'count': (number);
}
