// Original file: proto/fedlora/v1/coordinator.proto


export interface DeclineRequest {
  'planId'?: (string);
  'code'?: (string);
  'reason'?: (string);
}

export interface DeclineRequest__Output {
  'planId': (string);
  'code': (string);
  'reason': (string);
}
