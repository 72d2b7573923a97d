// Original file: proto/fedlora/v1/admin.proto

import type { PrivacyEvent as _fedlora_v1_PrivacyEvent, PrivacyEvent__Output as _fedlora_v1_PrivacyEvent__Output } from '../../fedlora/v1/PrivacyEvent.js';

export interface PrivacyAccount {
  'accountant'?: (string);
  'delta'?: (number | string);
  'epsilonSpent'?: (number | string);
  'epsilonSpentLower'?: (number | string);
  'epsilonSettled'?: (number | string);
  'epsilonBudget'?: (number | string);
  'noiseMultiplier'?: (number | string);
  'noiseSolved'?: (boolean);
  'clipNorm'?: (number | string);
  'samplingRate'?: (number | string);
  'events'?: (_fedlora_v1_PrivacyEvent)[];
  'warnings'?: (string)[];
  '_epsilonSpentLower'?: "epsilonSpentLower";
  '_epsilonBudget'?: "epsilonBudget";
  '_samplingRate'?: "samplingRate";
}

export interface PrivacyAccount__Output {
  'accountant': (string);
  'delta': (number);
  'epsilonSpent': (number);
  'epsilonSpentLower'?: (number);
  'epsilonSettled': (number);
  'epsilonBudget'?: (number);
  'noiseMultiplier': (number);
  'noiseSolved': (boolean);
  'clipNorm': (number);
  'samplingRate'?: (number);
  'events': (_fedlora_v1_PrivacyEvent__Output)[];
  'warnings': (string)[];
  '_epsilonSpentLower'?: "epsilonSpentLower";
  '_epsilonBudget'?: "epsilonBudget";
  '_samplingRate'?: "samplingRate";
}
