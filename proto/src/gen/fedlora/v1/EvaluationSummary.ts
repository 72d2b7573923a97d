// Original file: proto/fedlora/v1/admin.proto


export interface EvaluationSummary {
  'count'?: (number | string);
  'loss'?: (number | string);
  'accuracy'?: (number | string);
  'f1'?: (number | string);
  'confusion'?: (number | string)[];
  '_accuracy'?: "accuracy";
  '_f1'?: "f1";
}

export interface EvaluationSummary__Output {
  'count': (number);
  'loss': (number);
  'accuracy'?: (number);
  'f1'?: (number);
  'confusion': (number)[];
  '_accuracy'?: "accuracy";
  '_f1'?: "f1";
}
