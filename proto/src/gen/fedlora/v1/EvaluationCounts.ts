// Original file: proto/fedlora/v1/coordinator.proto


export interface EvaluationCounts {
  'count'?: (number | string);
  'lossSum'?: (number | string);
  'confusion'?: (number | string)[];
}

export interface EvaluationCounts__Output {
  'count': (number);
  'lossSum': (number);
  'confusion': (number)[];
}
