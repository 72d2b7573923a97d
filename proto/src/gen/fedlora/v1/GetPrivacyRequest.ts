// Original file: proto/fedlora/v1/admin.proto


export interface GetPrivacyRequest {
  'runId'?: (string);
  'afterRound'?: (number);
}

export interface GetPrivacyRequest__Output {
  'runId': (string);
  'afterRound': (number);
}
