// Original file: proto/fedlora/v1/admin.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { AdminBlobChunk as _fedlora_v1_AdminBlobChunk, AdminBlobChunk__Output as _fedlora_v1_AdminBlobChunk__Output } from '../../fedlora/v1/AdminBlobChunk.js';
import type { AdminGetBlobRequest as _fedlora_v1_AdminGetBlobRequest, AdminGetBlobRequest__Output as _fedlora_v1_AdminGetBlobRequest__Output } from '../../fedlora/v1/AdminGetBlobRequest.js';
import type { AdminPutBlobRequest as _fedlora_v1_AdminPutBlobRequest, AdminPutBlobRequest__Output as _fedlora_v1_AdminPutBlobRequest__Output } from '../../fedlora/v1/AdminPutBlobRequest.js';
import type { AuditRecord as _fedlora_v1_AuditRecord, AuditRecord__Output as _fedlora_v1_AuditRecord__Output } from '../../fedlora/v1/AuditRecord.js';
import type { AuditRequest as _fedlora_v1_AuditRequest, AuditRequest__Output as _fedlora_v1_AuditRequest__Output } from '../../fedlora/v1/AuditRequest.js';
import type { BlobRef as _fedlora_v1_BlobRef, BlobRef__Output as _fedlora_v1_BlobRef__Output } from '../../fedlora/v1/BlobRef.js';
import type { CreateRunRequest as _fedlora_v1_CreateRunRequest, CreateRunRequest__Output as _fedlora_v1_CreateRunRequest__Output } from '../../fedlora/v1/CreateRunRequest.js';
import type { GetExportRequest as _fedlora_v1_GetExportRequest, GetExportRequest__Output as _fedlora_v1_GetExportRequest__Output } from '../../fedlora/v1/GetExportRequest.js';
import type { GetExportResponse as _fedlora_v1_GetExportResponse, GetExportResponse__Output as _fedlora_v1_GetExportResponse__Output } from '../../fedlora/v1/GetExportResponse.js';
import type { GetPrivacyRequest as _fedlora_v1_GetPrivacyRequest, GetPrivacyRequest__Output as _fedlora_v1_GetPrivacyRequest__Output } from '../../fedlora/v1/GetPrivacyRequest.js';
import type { GetPrivacyResponse as _fedlora_v1_GetPrivacyResponse, GetPrivacyResponse__Output as _fedlora_v1_GetPrivacyResponse__Output } from '../../fedlora/v1/GetPrivacyResponse.js';
import type { GetRunRequest as _fedlora_v1_GetRunRequest, GetRunRequest__Output as _fedlora_v1_GetRunRequest__Output } from '../../fedlora/v1/GetRunRequest.js';
import type { ListRunsRequest as _fedlora_v1_ListRunsRequest, ListRunsRequest__Output as _fedlora_v1_ListRunsRequest__Output } from '../../fedlora/v1/ListRunsRequest.js';
import type { ListRunsResponse as _fedlora_v1_ListRunsResponse, ListRunsResponse__Output as _fedlora_v1_ListRunsResponse__Output } from '../../fedlora/v1/ListRunsResponse.js';
import type { RegisterModelRequest as _fedlora_v1_RegisterModelRequest, RegisterModelRequest__Output as _fedlora_v1_RegisterModelRequest__Output } from '../../fedlora/v1/RegisterModelRequest.js';
import type { RegisterModelResponse as _fedlora_v1_RegisterModelResponse, RegisterModelResponse__Output as _fedlora_v1_RegisterModelResponse__Output } from '../../fedlora/v1/RegisterModelResponse.js';
import type { RunCommand as _fedlora_v1_RunCommand, RunCommand__Output as _fedlora_v1_RunCommand__Output } from '../../fedlora/v1/RunCommand.js';
import type { RunEvent as _fedlora_v1_RunEvent, RunEvent__Output as _fedlora_v1_RunEvent__Output } from '../../fedlora/v1/RunEvent.js';
import type { RunResponse as _fedlora_v1_RunResponse, RunResponse__Output as _fedlora_v1_RunResponse__Output } from '../../fedlora/v1/RunResponse.js';
import type { WatchRunRequest as _fedlora_v1_WatchRunRequest, WatchRunRequest__Output as _fedlora_v1_WatchRunRequest__Output } from '../../fedlora/v1/WatchRunRequest.js';

export interface AdminClient extends grpc.Client {
  Audit(argument: _fedlora_v1_AuditRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_AuditRecord__Output>;
  Audit(argument: _fedlora_v1_AuditRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_AuditRecord__Output>;
  audit(argument: _fedlora_v1_AuditRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_AuditRecord__Output>;
  audit(argument: _fedlora_v1_AuditRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_AuditRecord__Output>;
  
  CreateRun(argument: _fedlora_v1_CreateRunRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  CreateRun(argument: _fedlora_v1_CreateRunRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  CreateRun(argument: _fedlora_v1_CreateRunRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  CreateRun(argument: _fedlora_v1_CreateRunRequest, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  createRun(argument: _fedlora_v1_CreateRunRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  createRun(argument: _fedlora_v1_CreateRunRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  createRun(argument: _fedlora_v1_CreateRunRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  createRun(argument: _fedlora_v1_CreateRunRequest, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  
  GetBlob(argument: _fedlora_v1_AdminGetBlobRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_AdminBlobChunk__Output>;
  GetBlob(argument: _fedlora_v1_AdminGetBlobRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_AdminBlobChunk__Output>;
  getBlob(argument: _fedlora_v1_AdminGetBlobRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_AdminBlobChunk__Output>;
  getBlob(argument: _fedlora_v1_AdminGetBlobRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_AdminBlobChunk__Output>;
  
  GetExport(argument: _fedlora_v1_GetExportRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_GetExportResponse__Output>): grpc.ClientUnaryCall;
  GetExport(argument: _fedlora_v1_GetExportRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_GetExportResponse__Output>): grpc.ClientUnaryCall;
  GetExport(argument: _fedlora_v1_GetExportRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_GetExportResponse__Output>): grpc.ClientUnaryCall;
  GetExport(argument: _fedlora_v1_GetExportRequest, callback: grpc.requestCallback<_fedlora_v1_GetExportResponse__Output>): grpc.ClientUnaryCall;
  getExport(argument: _fedlora_v1_GetExportRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_GetExportResponse__Output>): grpc.ClientUnaryCall;
  getExport(argument: _fedlora_v1_GetExportRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_GetExportResponse__Output>): grpc.ClientUnaryCall;
  getExport(argument: _fedlora_v1_GetExportRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_GetExportResponse__Output>): grpc.ClientUnaryCall;
  getExport(argument: _fedlora_v1_GetExportRequest, callback: grpc.requestCallback<_fedlora_v1_GetExportResponse__Output>): grpc.ClientUnaryCall;
  
  GetPrivacy(argument: _fedlora_v1_GetPrivacyRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_GetPrivacyResponse__Output>): grpc.ClientUnaryCall;
  GetPrivacy(argument: _fedlora_v1_GetPrivacyRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_GetPrivacyResponse__Output>): grpc.ClientUnaryCall;
  GetPrivacy(argument: _fedlora_v1_GetPrivacyRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_GetPrivacyResponse__Output>): grpc.ClientUnaryCall;
  GetPrivacy(argument: _fedlora_v1_GetPrivacyRequest, callback: grpc.requestCallback<_fedlora_v1_GetPrivacyResponse__Output>): grpc.ClientUnaryCall;
  getPrivacy(argument: _fedlora_v1_GetPrivacyRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_GetPrivacyResponse__Output>): grpc.ClientUnaryCall;
  getPrivacy(argument: _fedlora_v1_GetPrivacyRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_GetPrivacyResponse__Output>): grpc.ClientUnaryCall;
  getPrivacy(argument: _fedlora_v1_GetPrivacyRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_GetPrivacyResponse__Output>): grpc.ClientUnaryCall;
  getPrivacy(argument: _fedlora_v1_GetPrivacyRequest, callback: grpc.requestCallback<_fedlora_v1_GetPrivacyResponse__Output>): grpc.ClientUnaryCall;
  
  GetRun(argument: _fedlora_v1_GetRunRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  GetRun(argument: _fedlora_v1_GetRunRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  GetRun(argument: _fedlora_v1_GetRunRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  GetRun(argument: _fedlora_v1_GetRunRequest, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  getRun(argument: _fedlora_v1_GetRunRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  getRun(argument: _fedlora_v1_GetRunRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  getRun(argument: _fedlora_v1_GetRunRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  getRun(argument: _fedlora_v1_GetRunRequest, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  
  ListRuns(argument: _fedlora_v1_ListRunsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_ListRunsResponse__Output>): grpc.ClientUnaryCall;
  ListRuns(argument: _fedlora_v1_ListRunsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_ListRunsResponse__Output>): grpc.ClientUnaryCall;
  ListRuns(argument: _fedlora_v1_ListRunsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_ListRunsResponse__Output>): grpc.ClientUnaryCall;
  ListRuns(argument: _fedlora_v1_ListRunsRequest, callback: grpc.requestCallback<_fedlora_v1_ListRunsResponse__Output>): grpc.ClientUnaryCall;
  listRuns(argument: _fedlora_v1_ListRunsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_ListRunsResponse__Output>): grpc.ClientUnaryCall;
  listRuns(argument: _fedlora_v1_ListRunsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_ListRunsResponse__Output>): grpc.ClientUnaryCall;
  listRuns(argument: _fedlora_v1_ListRunsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_ListRunsResponse__Output>): grpc.ClientUnaryCall;
  listRuns(argument: _fedlora_v1_ListRunsRequest, callback: grpc.requestCallback<_fedlora_v1_ListRunsResponse__Output>): grpc.ClientUnaryCall;
  
  PutBlob(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_BlobRef__Output>): grpc.ClientWritableStream<_fedlora_v1_AdminPutBlobRequest>;
  PutBlob(metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_BlobRef__Output>): grpc.ClientWritableStream<_fedlora_v1_AdminPutBlobRequest>;
  PutBlob(options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_BlobRef__Output>): grpc.ClientWritableStream<_fedlora_v1_AdminPutBlobRequest>;
  PutBlob(callback: grpc.requestCallback<_fedlora_v1_BlobRef__Output>): grpc.ClientWritableStream<_fedlora_v1_AdminPutBlobRequest>;
  putBlob(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_BlobRef__Output>): grpc.ClientWritableStream<_fedlora_v1_AdminPutBlobRequest>;
  putBlob(metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_BlobRef__Output>): grpc.ClientWritableStream<_fedlora_v1_AdminPutBlobRequest>;
  putBlob(options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_BlobRef__Output>): grpc.ClientWritableStream<_fedlora_v1_AdminPutBlobRequest>;
  putBlob(callback: grpc.requestCallback<_fedlora_v1_BlobRef__Output>): grpc.ClientWritableStream<_fedlora_v1_AdminPutBlobRequest>;
  
  RegisterModel(argument: _fedlora_v1_RegisterModelRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RegisterModelResponse__Output>): grpc.ClientUnaryCall;
  RegisterModel(argument: _fedlora_v1_RegisterModelRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_RegisterModelResponse__Output>): grpc.ClientUnaryCall;
  RegisterModel(argument: _fedlora_v1_RegisterModelRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RegisterModelResponse__Output>): grpc.ClientUnaryCall;
  RegisterModel(argument: _fedlora_v1_RegisterModelRequest, callback: grpc.requestCallback<_fedlora_v1_RegisterModelResponse__Output>): grpc.ClientUnaryCall;
  registerModel(argument: _fedlora_v1_RegisterModelRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RegisterModelResponse__Output>): grpc.ClientUnaryCall;
  registerModel(argument: _fedlora_v1_RegisterModelRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_RegisterModelResponse__Output>): grpc.ClientUnaryCall;
  registerModel(argument: _fedlora_v1_RegisterModelRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RegisterModelResponse__Output>): grpc.ClientUnaryCall;
  registerModel(argument: _fedlora_v1_RegisterModelRequest, callback: grpc.requestCallback<_fedlora_v1_RegisterModelResponse__Output>): grpc.ClientUnaryCall;
  
  ResumeRun(argument: _fedlora_v1_RunCommand, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  ResumeRun(argument: _fedlora_v1_RunCommand, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  ResumeRun(argument: _fedlora_v1_RunCommand, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  ResumeRun(argument: _fedlora_v1_RunCommand, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  resumeRun(argument: _fedlora_v1_RunCommand, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  resumeRun(argument: _fedlora_v1_RunCommand, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  resumeRun(argument: _fedlora_v1_RunCommand, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  resumeRun(argument: _fedlora_v1_RunCommand, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  
  StopRun(argument: _fedlora_v1_RunCommand, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  StopRun(argument: _fedlora_v1_RunCommand, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  StopRun(argument: _fedlora_v1_RunCommand, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  StopRun(argument: _fedlora_v1_RunCommand, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  stopRun(argument: _fedlora_v1_RunCommand, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  stopRun(argument: _fedlora_v1_RunCommand, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  stopRun(argument: _fedlora_v1_RunCommand, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  stopRun(argument: _fedlora_v1_RunCommand, callback: grpc.requestCallback<_fedlora_v1_RunResponse__Output>): grpc.ClientUnaryCall;
  
  WatchRun(argument: _fedlora_v1_WatchRunRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_RunEvent__Output>;
  WatchRun(argument: _fedlora_v1_WatchRunRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_RunEvent__Output>;
  watchRun(argument: _fedlora_v1_WatchRunRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_RunEvent__Output>;
  watchRun(argument: _fedlora_v1_WatchRunRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_RunEvent__Output>;
  
}

export interface AdminHandlers extends grpc.UntypedServiceImplementation {
  Audit: grpc.handleServerStreamingCall<_fedlora_v1_AuditRequest__Output, _fedlora_v1_AuditRecord>;
  
  CreateRun: grpc.handleUnaryCall<_fedlora_v1_CreateRunRequest__Output, _fedlora_v1_RunResponse>;
  
  GetBlob: grpc.handleServerStreamingCall<_fedlora_v1_AdminGetBlobRequest__Output, _fedlora_v1_AdminBlobChunk>;
  
  GetExport: grpc.handleUnaryCall<_fedlora_v1_GetExportRequest__Output, _fedlora_v1_GetExportResponse>;
  
  GetPrivacy: grpc.handleUnaryCall<_fedlora_v1_GetPrivacyRequest__Output, _fedlora_v1_GetPrivacyResponse>;
  
  GetRun: grpc.handleUnaryCall<_fedlora_v1_GetRunRequest__Output, _fedlora_v1_RunResponse>;
  
  ListRuns: grpc.handleUnaryCall<_fedlora_v1_ListRunsRequest__Output, _fedlora_v1_ListRunsResponse>;
  
  PutBlob: grpc.handleClientStreamingCall<_fedlora_v1_AdminPutBlobRequest__Output, _fedlora_v1_BlobRef>;
  
  RegisterModel: grpc.handleUnaryCall<_fedlora_v1_RegisterModelRequest__Output, _fedlora_v1_RegisterModelResponse>;
  
  ResumeRun: grpc.handleUnaryCall<_fedlora_v1_RunCommand__Output, _fedlora_v1_RunResponse>;
  
  StopRun: grpc.handleUnaryCall<_fedlora_v1_RunCommand__Output, _fedlora_v1_RunResponse>;
  
  WatchRun: grpc.handleServerStreamingCall<_fedlora_v1_WatchRunRequest__Output, _fedlora_v1_RunEvent>;
  
}

export interface AdminDefinition extends grpc.ServiceDefinition {
  Audit: MethodDefinition<_fedlora_v1_AuditRequest, _fedlora_v1_AuditRecord, _fedlora_v1_AuditRequest__Output, _fedlora_v1_AuditRecord__Output>
  CreateRun: MethodDefinition<_fedlora_v1_CreateRunRequest, _fedlora_v1_RunResponse, _fedlora_v1_CreateRunRequest__Output, _fedlora_v1_RunResponse__Output>
  GetBlob: MethodDefinition<_fedlora_v1_AdminGetBlobRequest, _fedlora_v1_AdminBlobChunk, _fedlora_v1_AdminGetBlobRequest__Output, _fedlora_v1_AdminBlobChunk__Output>
  GetExport: MethodDefinition<_fedlora_v1_GetExportRequest, _fedlora_v1_GetExportResponse, _fedlora_v1_GetExportRequest__Output, _fedlora_v1_GetExportResponse__Output>
  GetPrivacy: MethodDefinition<_fedlora_v1_GetPrivacyRequest, _fedlora_v1_GetPrivacyResponse, _fedlora_v1_GetPrivacyRequest__Output, _fedlora_v1_GetPrivacyResponse__Output>
  GetRun: MethodDefinition<_fedlora_v1_GetRunRequest, _fedlora_v1_RunResponse, _fedlora_v1_GetRunRequest__Output, _fedlora_v1_RunResponse__Output>
  ListRuns: MethodDefinition<_fedlora_v1_ListRunsRequest, _fedlora_v1_ListRunsResponse, _fedlora_v1_ListRunsRequest__Output, _fedlora_v1_ListRunsResponse__Output>
  PutBlob: MethodDefinition<_fedlora_v1_AdminPutBlobRequest, _fedlora_v1_BlobRef, _fedlora_v1_AdminPutBlobRequest__Output, _fedlora_v1_BlobRef__Output>
  RegisterModel: MethodDefinition<_fedlora_v1_RegisterModelRequest, _fedlora_v1_RegisterModelResponse, _fedlora_v1_RegisterModelRequest__Output, _fedlora_v1_RegisterModelResponse__Output>
  ResumeRun: MethodDefinition<_fedlora_v1_RunCommand, _fedlora_v1_RunResponse, _fedlora_v1_RunCommand__Output, _fedlora_v1_RunResponse__Output>
  StopRun: MethodDefinition<_fedlora_v1_RunCommand, _fedlora_v1_RunResponse, _fedlora_v1_RunCommand__Output, _fedlora_v1_RunResponse__Output>
  WatchRun: MethodDefinition<_fedlora_v1_WatchRunRequest, _fedlora_v1_RunEvent, _fedlora_v1_WatchRunRequest__Output, _fedlora_v1_RunEvent__Output>
}
