// Original file: proto/fedlora/v1/admin.proto


export interface CreateRunRequest {
  'idempotencyKey'?: (string);
  'specJson'?: (string);
}

export interface CreateRunRequest__Output {
  'idempotencyKey': (string);
  'specJson': (string);
}
