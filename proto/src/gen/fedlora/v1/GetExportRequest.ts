// Original file: proto/fedlora/v1/admin.proto


export interface GetExportRequest {
  'runId'?: (string);
  'round'?: (number);
  'form'?: (string);
}

export interface GetExportRequest__Output {
  'runId': (string);
  'round': (number);
  'form': (string);
}
