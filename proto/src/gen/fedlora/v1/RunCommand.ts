// Original file: proto/fedlora/v1/admin.proto


export interface RunCommand {
  'idempotencyKey'?: (string);
  'runId'?: (string);
  'reason'?: (string);
}

export interface RunCommand__Output {
  'idempotencyKey': (string);
  'runId': (string);
  'reason': (string);
}
