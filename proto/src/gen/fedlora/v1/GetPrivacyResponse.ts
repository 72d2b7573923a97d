// Original file: proto/fedlora/v1/admin.proto

import type { PrivacyAccount as _fedlora_v1_PrivacyAccount, PrivacyAccount__Output as _fedlora_v1_PrivacyAccount__Output } from '../../fedlora/v1/PrivacyAccount.js';
import type { PrivacyRound as _fedlora_v1_PrivacyRound, PrivacyRound__Output as _fedlora_v1_PrivacyRound__Output } from '../../fedlora/v1/PrivacyRound.js';

export interface GetPrivacyResponse {
  'mode'?: (string);
  'account'?: (_fedlora_v1_PrivacyAccount | null);
  'rounds'?: (_fedlora_v1_PrivacyRound)[];
  'moreRounds'?: (boolean);
}

export interface GetPrivacyResponse__Output {
  'mode': (string);
  'account': (_fedlora_v1_PrivacyAccount__Output | null);
  'rounds': (_fedlora_v1_PrivacyRound__Output)[];
  'moreRounds': (boolean);
}
