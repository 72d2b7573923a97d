// Original file: proto/fedlora/v1/coordinator.proto

import type { Capability as _fedlora_v1_Capability, Capability__Output as _fedlora_v1_Capability__Output } from '../../fedlora/v1/Capability.js';

export interface EnrolRequest {
  'protocolVersions'?: (number)[];
  'publicKey'?: (Buffer | Uint8Array | string);
  'nonce'?: (Buffer | Uint8Array | string);
  'proof'?: (Buffer | Uint8Array | string);
  'name'?: (string);
  'capability'?: (_fedlora_v1_Capability | null);
  'baseModelHashes'?: (string)[];
}

export interface EnrolRequest__Output {
  'protocolVersions': (number)[];
  'publicKey': (Buffer);
  'nonce': (Buffer);
  'proof': (Buffer);
  'name': (string);
  'capability': (_fedlora_v1_Capability__Output | null);
  'baseModelHashes': (string)[];
}
