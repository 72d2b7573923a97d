// Original file: proto/fedlora/v1/coordinator.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { BeginUploadRequest as _fedlora_v1_BeginUploadRequest, BeginUploadRequest__Output as _fedlora_v1_BeginUploadRequest__Output } from '../../fedlora/v1/BeginUploadRequest.js';
import type { BeginUploadResponse as _fedlora_v1_BeginUploadResponse, BeginUploadResponse__Output as _fedlora_v1_BeginUploadResponse__Output } from '../../fedlora/v1/BeginUploadResponse.js';
import type { BlobChunk as _fedlora_v1_BlobChunk, BlobChunk__Output as _fedlora_v1_BlobChunk__Output } from '../../fedlora/v1/BlobChunk.js';
import type { CommitRequest as _fedlora_v1_CommitRequest, CommitRequest__Output as _fedlora_v1_CommitRequest__Output } from '../../fedlora/v1/CommitRequest.js';
import type { CommitResponse as _fedlora_v1_CommitResponse, CommitResponse__Output as _fedlora_v1_CommitResponse__Output } from '../../fedlora/v1/CommitResponse.js';
import type { DeclineRequest as _fedlora_v1_DeclineRequest, DeclineRequest__Output as _fedlora_v1_DeclineRequest__Output } from '../../fedlora/v1/DeclineRequest.js';
import type { DeclineResponse as _fedlora_v1_DeclineResponse, DeclineResponse__Output as _fedlora_v1_DeclineResponse__Output } from '../../fedlora/v1/DeclineResponse.js';
import type { EnrolRequest as _fedlora_v1_EnrolRequest, EnrolRequest__Output as _fedlora_v1_EnrolRequest__Output } from '../../fedlora/v1/EnrolRequest.js';
import type { EnrolResponse as _fedlora_v1_EnrolResponse, EnrolResponse__Output as _fedlora_v1_EnrolResponse__Output } from '../../fedlora/v1/EnrolResponse.js';
import type { GetBlobRequest as _fedlora_v1_GetBlobRequest, GetBlobRequest__Output as _fedlora_v1_GetBlobRequest__Output } from '../../fedlora/v1/GetBlobRequest.js';
import type { PollRequest as _fedlora_v1_PollRequest, PollRequest__Output as _fedlora_v1_PollRequest__Output } from '../../fedlora/v1/PollRequest.js';
import type { PollResponse as _fedlora_v1_PollResponse, PollResponse__Output as _fedlora_v1_PollResponse__Output } from '../../fedlora/v1/PollResponse.js';
import type { PutChunkRequest as _fedlora_v1_PutChunkRequest, PutChunkRequest__Output as _fedlora_v1_PutChunkRequest__Output } from '../../fedlora/v1/PutChunkRequest.js';
import type { PutChunkResponse as _fedlora_v1_PutChunkResponse, PutChunkResponse__Output as _fedlora_v1_PutChunkResponse__Output } from '../../fedlora/v1/PutChunkResponse.js';
import type { ReportRequest as _fedlora_v1_ReportRequest, ReportRequest__Output as _fedlora_v1_ReportRequest__Output } from '../../fedlora/v1/ReportRequest.js';
import type { ReportResponse as _fedlora_v1_ReportResponse, ReportResponse__Output as _fedlora_v1_ReportResponse__Output } from '../../fedlora/v1/ReportResponse.js';

export interface CoordinatorClient extends grpc.Client {
  BeginUpload(argument: _fedlora_v1_BeginUploadRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_BeginUploadResponse__Output>): grpc.ClientUnaryCall;
  BeginUpload(argument: _fedlora_v1_BeginUploadRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_BeginUploadResponse__Output>): grpc.ClientUnaryCall;
  BeginUpload(argument: _fedlora_v1_BeginUploadRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_BeginUploadResponse__Output>): grpc.ClientUnaryCall;
  BeginUpload(argument: _fedlora_v1_BeginUploadRequest, callback: grpc.requestCallback<_fedlora_v1_BeginUploadResponse__Output>): grpc.ClientUnaryCall;
  beginUpload(argument: _fedlora_v1_BeginUploadRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_BeginUploadResponse__Output>): grpc.ClientUnaryCall;
  beginUpload(argument: _fedlora_v1_BeginUploadRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_BeginUploadResponse__Output>): grpc.ClientUnaryCall;
  beginUpload(argument: _fedlora_v1_BeginUploadRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_BeginUploadResponse__Output>): grpc.ClientUnaryCall;
  beginUpload(argument: _fedlora_v1_BeginUploadRequest, callback: grpc.requestCallback<_fedlora_v1_BeginUploadResponse__Output>): grpc.ClientUnaryCall;
  
  Commit(argument: _fedlora_v1_CommitRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_CommitResponse__Output>): grpc.ClientUnaryCall;
  Commit(argument: _fedlora_v1_CommitRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_CommitResponse__Output>): grpc.ClientUnaryCall;
  Commit(argument: _fedlora_v1_CommitRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_CommitResponse__Output>): grpc.ClientUnaryCall;
  Commit(argument: _fedlora_v1_CommitRequest, callback: grpc.requestCallback<_fedlora_v1_CommitResponse__Output>): grpc.ClientUnaryCall;
  commit(argument: _fedlora_v1_CommitRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_CommitResponse__Output>): grpc.ClientUnaryCall;
  commit(argument: _fedlora_v1_CommitRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_CommitResponse__Output>): grpc.ClientUnaryCall;
  commit(argument: _fedlora_v1_CommitRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_CommitResponse__Output>): grpc.ClientUnaryCall;
  commit(argument: _fedlora_v1_CommitRequest, callback: grpc.requestCallback<_fedlora_v1_CommitResponse__Output>): grpc.ClientUnaryCall;
  
  Decline(argument: _fedlora_v1_DeclineRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_DeclineResponse__Output>): grpc.ClientUnaryCall;
  Decline(argument: _fedlora_v1_DeclineRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_DeclineResponse__Output>): grpc.ClientUnaryCall;
  Decline(argument: _fedlora_v1_DeclineRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_DeclineResponse__Output>): grpc.ClientUnaryCall;
  Decline(argument: _fedlora_v1_DeclineRequest, callback: grpc.requestCallback<_fedlora_v1_DeclineResponse__Output>): grpc.ClientUnaryCall;
  decline(argument: _fedlora_v1_DeclineRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_DeclineResponse__Output>): grpc.ClientUnaryCall;
  decline(argument: _fedlora_v1_DeclineRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_DeclineResponse__Output>): grpc.ClientUnaryCall;
  decline(argument: _fedlora_v1_DeclineRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_DeclineResponse__Output>): grpc.ClientUnaryCall;
  decline(argument: _fedlora_v1_DeclineRequest, callback: grpc.requestCallback<_fedlora_v1_DeclineResponse__Output>): grpc.ClientUnaryCall;
  
  Enrol(argument: _fedlora_v1_EnrolRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_EnrolResponse__Output>): grpc.ClientUnaryCall;
  Enrol(argument: _fedlora_v1_EnrolRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_EnrolResponse__Output>): grpc.ClientUnaryCall;
  Enrol(argument: _fedlora_v1_EnrolRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_EnrolResponse__Output>): grpc.ClientUnaryCall;
  Enrol(argument: _fedlora_v1_EnrolRequest, callback: grpc.requestCallback<_fedlora_v1_EnrolResponse__Output>): grpc.ClientUnaryCall;
  enrol(argument: _fedlora_v1_EnrolRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_EnrolResponse__Output>): grpc.ClientUnaryCall;
  enrol(argument: _fedlora_v1_EnrolRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_EnrolResponse__Output>): grpc.ClientUnaryCall;
  enrol(argument: _fedlora_v1_EnrolRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_EnrolResponse__Output>): grpc.ClientUnaryCall;
  enrol(argument: _fedlora_v1_EnrolRequest, callback: grpc.requestCallback<_fedlora_v1_EnrolResponse__Output>): grpc.ClientUnaryCall;
  
  GetBlob(argument: _fedlora_v1_GetBlobRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_BlobChunk__Output>;
  GetBlob(argument: _fedlora_v1_GetBlobRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_BlobChunk__Output>;
  getBlob(argument: _fedlora_v1_GetBlobRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_BlobChunk__Output>;
  getBlob(argument: _fedlora_v1_GetBlobRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_fedlora_v1_BlobChunk__Output>;
  
  Poll(argument: _fedlora_v1_PollRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_PollResponse__Output>): grpc.ClientUnaryCall;
  Poll(argument: _fedlora_v1_PollRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_PollResponse__Output>): grpc.ClientUnaryCall;
  Poll(argument: _fedlora_v1_PollRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_PollResponse__Output>): grpc.ClientUnaryCall;
  Poll(argument: _fedlora_v1_PollRequest, callback: grpc.requestCallback<_fedlora_v1_PollResponse__Output>): grpc.ClientUnaryCall;
  poll(argument: _fedlora_v1_PollRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_PollResponse__Output>): grpc.ClientUnaryCall;
  poll(argument: _fedlora_v1_PollRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_PollResponse__Output>): grpc.ClientUnaryCall;
  poll(argument: _fedlora_v1_PollRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_PollResponse__Output>): grpc.ClientUnaryCall;
  poll(argument: _fedlora_v1_PollRequest, callback: grpc.requestCallback<_fedlora_v1_PollResponse__Output>): grpc.ClientUnaryCall;
  
  PutChunk(argument: _fedlora_v1_PutChunkRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientUnaryCall;
  PutChunk(argument: _fedlora_v1_PutChunkRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientUnaryCall;
  PutChunk(argument: _fedlora_v1_PutChunkRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientUnaryCall;
  PutChunk(argument: _fedlora_v1_PutChunkRequest, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientUnaryCall;
  putChunk(argument: _fedlora_v1_PutChunkRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientUnaryCall;
  putChunk(argument: _fedlora_v1_PutChunkRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientUnaryCall;
  putChunk(argument: _fedlora_v1_PutChunkRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientUnaryCall;
  putChunk(argument: _fedlora_v1_PutChunkRequest, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientUnaryCall;
  
  PutChunks(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientWritableStream<_fedlora_v1_PutChunkRequest>;
  PutChunks(metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientWritableStream<_fedlora_v1_PutChunkRequest>;
  PutChunks(options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientWritableStream<_fedlora_v1_PutChunkRequest>;
  PutChunks(callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientWritableStream<_fedlora_v1_PutChunkRequest>;
  putChunks(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientWritableStream<_fedlora_v1_PutChunkRequest>;
  putChunks(metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientWritableStream<_fedlora_v1_PutChunkRequest>;
  putChunks(options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientWritableStream<_fedlora_v1_PutChunkRequest>;
  putChunks(callback: grpc.requestCallback<_fedlora_v1_PutChunkResponse__Output>): grpc.ClientWritableStream<_fedlora_v1_PutChunkRequest>;
  
  Report(argument: _fedlora_v1_ReportRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_ReportResponse__Output>): grpc.ClientUnaryCall;
  Report(argument: _fedlora_v1_ReportRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_ReportResponse__Output>): grpc.ClientUnaryCall;
  Report(argument: _fedlora_v1_ReportRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_ReportResponse__Output>): grpc.ClientUnaryCall;
  Report(argument: _fedlora_v1_ReportRequest, callback: grpc.requestCallback<_fedlora_v1_ReportResponse__Output>): grpc.ClientUnaryCall;
  report(argument: _fedlora_v1_ReportRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_ReportResponse__Output>): grpc.ClientUnaryCall;
  report(argument: _fedlora_v1_ReportRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_fedlora_v1_ReportResponse__Output>): grpc.ClientUnaryCall;
  report(argument: _fedlora_v1_ReportRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_fedlora_v1_ReportResponse__Output>): grpc.ClientUnaryCall;
  report(argument: _fedlora_v1_ReportRequest, callback: grpc.requestCallback<_fedlora_v1_ReportResponse__Output>): grpc.ClientUnaryCall;
  
}

export interface CoordinatorHandlers extends grpc.UntypedServiceImplementation {
  BeginUpload: grpc.handleUnaryCall<_fedlora_v1_BeginUploadRequest__Output, _fedlora_v1_BeginUploadResponse>;
  
  Commit: grpc.handleUnaryCall<_fedlora_v1_CommitRequest__Output, _fedlora_v1_CommitResponse>;
  
  Decline: grpc.handleUnaryCall<_fedlora_v1_DeclineRequest__Output, _fedlora_v1_DeclineResponse>;
  
  Enrol: grpc.handleUnaryCall<_fedlora_v1_EnrolRequest__Output, _fedlora_v1_EnrolResponse>;
  
  GetBlob: grpc.handleServerStreamingCall<_fedlora_v1_GetBlobRequest__Output, _fedlora_v1_BlobChunk>;
  
  Poll: grpc.handleUnaryCall<_fedlora_v1_PollRequest__Output, _fedlora_v1_PollResponse>;
  
  PutChunk: grpc.handleUnaryCall<_fedlora_v1_PutChunkRequest__Output, _fedlora_v1_PutChunkResponse>;
  
  PutChunks: grpc.handleClientStreamingCall<_fedlora_v1_PutChunkRequest__Output, _fedlora_v1_PutChunkResponse>;
  
  Report: grpc.handleUnaryCall<_fedlora_v1_ReportRequest__Output, _fedlora_v1_ReportResponse>;
  
}

export interface CoordinatorDefinition extends grpc.ServiceDefinition {
  BeginUpload: MethodDefinition<_fedlora_v1_BeginUploadRequest, _fedlora_v1_BeginUploadResponse, _fedlora_v1_BeginUploadRequest__Output, _fedlora_v1_BeginUploadResponse__Output>
  Commit: MethodDefinition<_fedlora_v1_CommitRequest, _fedlora_v1_CommitResponse, _fedlora_v1_CommitRequest__Output, _fedlora_v1_CommitResponse__Output>
  Decline: MethodDefinition<_fedlora_v1_DeclineRequest, _fedlora_v1_DeclineResponse, _fedlora_v1_DeclineRequest__Output, _fedlora_v1_DeclineResponse__Output>
  Enrol: MethodDefinition<_fedlora_v1_EnrolRequest, _fedlora_v1_EnrolResponse, _fedlora_v1_EnrolRequest__Output, _fedlora_v1_EnrolResponse__Output>
  GetBlob: MethodDefinition<_fedlora_v1_GetBlobRequest, _fedlora_v1_BlobChunk, _fedlora_v1_GetBlobRequest__Output, _fedlora_v1_BlobChunk__Output>
  Poll: MethodDefinition<_fedlora_v1_PollRequest, _fedlora_v1_PollResponse, _fedlora_v1_PollRequest__Output, _fedlora_v1_PollResponse__Output>
  PutChunk: MethodDefinition<_fedlora_v1_PutChunkRequest, _fedlora_v1_PutChunkResponse, _fedlora_v1_PutChunkRequest__Output, _fedlora_v1_PutChunkResponse__Output>
  PutChunks: MethodDefinition<_fedlora_v1_PutChunkRequest, _fedlora_v1_PutChunkResponse, _fedlora_v1_PutChunkRequest__Output, _fedlora_v1_PutChunkResponse__Output>
  Report: MethodDefinition<_fedlora_v1_ReportRequest, _fedlora_v1_ReportResponse, _fedlora_v1_ReportRequest__Output, _fedlora_v1_ReportResponse__Output>
}
