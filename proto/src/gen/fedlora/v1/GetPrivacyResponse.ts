// Original file: proto/fedlora/v1/admin.proto


export interface GetPrivacyResponse {
  'mode'?: (string);
  'ledgerJson'?: (string);
}

export interface GetPrivacyResponse__Output {
  'mode': (string);
  'ledgerJson': (string);
}
