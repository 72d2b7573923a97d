// Original file: proto/fedlora/v1/admin.proto


export interface RegisterModelRequest {
  'idempotencyKey'?: (string);
  'manifestJson'?: (string);
}

export interface RegisterModelRequest__Output {
  'idempotencyKey': (string);
  'manifestJson': (string);
}
