// Original file: proto/fedlora/v1/admin.proto


export interface GetRunRequest {
  'runId'?: (string);
  'afterRound'?: (number);
}

export interface GetRunRequest__Output {
  'runId': (string);
  'afterRound': (number);
}
