// Original file: proto/fedlora/v1/admin.proto


export interface RegisterModelResponse {
  'hash'?: (string);
}

export interface RegisterModelResponse__Output {
  'hash': (string);
}
