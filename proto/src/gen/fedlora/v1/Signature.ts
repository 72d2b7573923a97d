// Original file: proto/fedlora/v1/common.proto


export interface Signature {
  'keyId'?: (Buffer | Uint8Array | string);
  'value'?: (Buffer | Uint8Array | string);
}

export interface Signature__Output {
  'keyId': (Buffer);
  'value': (Buffer);
}
