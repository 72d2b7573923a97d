// Original file: proto/fedlora/v1/admin.proto


export interface PrivacyRound {
  'round'?: (number);
  'epsilon'?: (number | string);
  'clipNorm'?: (number | string);
  'unclippedShare'?: (number | string);
  '_unclippedShare'?: "unclippedShare";
}

export interface PrivacyRound__Output {
  'round': (number);
  'epsilon': (number);
  'clipNorm': (number);
  'unclippedShare'?: (number);
  '_unclippedShare'?: "unclippedShare";
}
