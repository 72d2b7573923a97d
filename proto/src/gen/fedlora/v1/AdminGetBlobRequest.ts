// Original file: proto/fedlora/v1/admin.proto


export interface AdminGetBlobRequest {
  'blobId'?: (string);
}

export interface AdminGetBlobRequest__Output {
  'blobId': (string);
}
