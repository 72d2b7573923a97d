import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { AdminClient as _fedlora_v1_AdminClient, AdminDefinition as _fedlora_v1_AdminDefinition } from './fedlora/v1/Admin.js';
import type { AdminBlobChunk as _fedlora_v1_AdminBlobChunk, AdminBlobChunk__Output as _fedlora_v1_AdminBlobChunk__Output } from './fedlora/v1/AdminBlobChunk.js';
import type { AdminGetBlobRequest as _fedlora_v1_AdminGetBlobRequest, AdminGetBlobRequest__Output as _fedlora_v1_AdminGetBlobRequest__Output } from './fedlora/v1/AdminGetBlobRequest.js';
import type { AdminPutBlobRequest as _fedlora_v1_AdminPutBlobRequest, AdminPutBlobRequest__Output as _fedlora_v1_AdminPutBlobRequest__Output } from './fedlora/v1/AdminPutBlobRequest.js';
import type { AuditRecord as _fedlora_v1_AuditRecord, AuditRecord__Output as _fedlora_v1_AuditRecord__Output } from './fedlora/v1/AuditRecord.js';
import type { AuditRequest as _fedlora_v1_AuditRequest, AuditRequest__Output as _fedlora_v1_AuditRequest__Output } from './fedlora/v1/AuditRequest.js';
import type { BaseDelta as _fedlora_v1_BaseDelta, BaseDelta__Output as _fedlora_v1_BaseDelta__Output } from './fedlora/v1/BaseDelta.js';
import type { BlobRef as _fedlora_v1_BlobRef, BlobRef__Output as _fedlora_v1_BlobRef__Output } from './fedlora/v1/BlobRef.js';
import type { Capability as _fedlora_v1_Capability, Capability__Output as _fedlora_v1_Capability__Output } from './fedlora/v1/Capability.js';
import type { CreateRunRequest as _fedlora_v1_CreateRunRequest, CreateRunRequest__Output as _fedlora_v1_CreateRunRequest__Output } from './fedlora/v1/CreateRunRequest.js';
import type { ErrorDetail as _fedlora_v1_ErrorDetail, ErrorDetail__Output as _fedlora_v1_ErrorDetail__Output } from './fedlora/v1/ErrorDetail.js';
import type { EvaluationSummary as _fedlora_v1_EvaluationSummary, EvaluationSummary__Output as _fedlora_v1_EvaluationSummary__Output } from './fedlora/v1/EvaluationSummary.js';
import type { GetExportRequest as _fedlora_v1_GetExportRequest, GetExportRequest__Output as _fedlora_v1_GetExportRequest__Output } from './fedlora/v1/GetExportRequest.js';
import type { GetExportResponse as _fedlora_v1_GetExportResponse, GetExportResponse__Output as _fedlora_v1_GetExportResponse__Output } from './fedlora/v1/GetExportResponse.js';
import type { GetPrivacyRequest as _fedlora_v1_GetPrivacyRequest, GetPrivacyRequest__Output as _fedlora_v1_GetPrivacyRequest__Output } from './fedlora/v1/GetPrivacyRequest.js';
import type { GetPrivacyResponse as _fedlora_v1_GetPrivacyResponse, GetPrivacyResponse__Output as _fedlora_v1_GetPrivacyResponse__Output } from './fedlora/v1/GetPrivacyResponse.js';
import type { GetRunRequest as _fedlora_v1_GetRunRequest, GetRunRequest__Output as _fedlora_v1_GetRunRequest__Output } from './fedlora/v1/GetRunRequest.js';
import type { ListRunsRequest as _fedlora_v1_ListRunsRequest, ListRunsRequest__Output as _fedlora_v1_ListRunsRequest__Output } from './fedlora/v1/ListRunsRequest.js';
import type { ListRunsResponse as _fedlora_v1_ListRunsResponse, ListRunsResponse__Output as _fedlora_v1_ListRunsResponse__Output } from './fedlora/v1/ListRunsResponse.js';
import type { PrivacyAccount as _fedlora_v1_PrivacyAccount, PrivacyAccount__Output as _fedlora_v1_PrivacyAccount__Output } from './fedlora/v1/PrivacyAccount.js';
import type { PrivacyEvent as _fedlora_v1_PrivacyEvent, PrivacyEvent__Output as _fedlora_v1_PrivacyEvent__Output } from './fedlora/v1/PrivacyEvent.js';
import type { PrivacyRound as _fedlora_v1_PrivacyRound, PrivacyRound__Output as _fedlora_v1_PrivacyRound__Output } from './fedlora/v1/PrivacyRound.js';
import type { RegisterModelRequest as _fedlora_v1_RegisterModelRequest, RegisterModelRequest__Output as _fedlora_v1_RegisterModelRequest__Output } from './fedlora/v1/RegisterModelRequest.js';
import type { RegisterModelResponse as _fedlora_v1_RegisterModelResponse, RegisterModelResponse__Output as _fedlora_v1_RegisterModelResponse__Output } from './fedlora/v1/RegisterModelResponse.js';
import type { RoundSummary as _fedlora_v1_RoundSummary, RoundSummary__Output as _fedlora_v1_RoundSummary__Output } from './fedlora/v1/RoundSummary.js';
import type { RunCommand as _fedlora_v1_RunCommand, RunCommand__Output as _fedlora_v1_RunCommand__Output } from './fedlora/v1/RunCommand.js';
import type { RunEvent as _fedlora_v1_RunEvent, RunEvent__Output as _fedlora_v1_RunEvent__Output } from './fedlora/v1/RunEvent.js';
import type { RunResponse as _fedlora_v1_RunResponse, RunResponse__Output as _fedlora_v1_RunResponse__Output } from './fedlora/v1/RunResponse.js';
import type { RunSummary as _fedlora_v1_RunSummary, RunSummary__Output as _fedlora_v1_RunSummary__Output } from './fedlora/v1/RunSummary.js';
import type { Signature as _fedlora_v1_Signature, Signature__Output as _fedlora_v1_Signature__Output } from './fedlora/v1/Signature.js';
import type { StepTimes as _fedlora_v1_StepTimes, StepTimes__Output as _fedlora_v1_StepTimes__Output } from './fedlora/v1/StepTimes.js';
import type { WatchRunRequest as _fedlora_v1_WatchRunRequest, WatchRunRequest__Output as _fedlora_v1_WatchRunRequest__Output } from './fedlora/v1/WatchRunRequest.js';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  fedlora: {
    v1: {
      Admin: SubtypeConstructor<typeof grpc.Client, _fedlora_v1_AdminClient> & { service: _fedlora_v1_AdminDefinition }
      AdminBlobChunk: MessageTypeDefinition<_fedlora_v1_AdminBlobChunk, _fedlora_v1_AdminBlobChunk__Output>
      AdminGetBlobRequest: MessageTypeDefinition<_fedlora_v1_AdminGetBlobRequest, _fedlora_v1_AdminGetBlobRequest__Output>
      AdminPutBlobRequest: MessageTypeDefinition<_fedlora_v1_AdminPutBlobRequest, _fedlora_v1_AdminPutBlobRequest__Output>
      AuditRecord: MessageTypeDefinition<_fedlora_v1_AuditRecord, _fedlora_v1_AuditRecord__Output>
      AuditRequest: MessageTypeDefinition<_fedlora_v1_AuditRequest, _fedlora_v1_AuditRequest__Output>
      BaseDelta: MessageTypeDefinition<_fedlora_v1_BaseDelta, _fedlora_v1_BaseDelta__Output>
      BlobRef: MessageTypeDefinition<_fedlora_v1_BlobRef, _fedlora_v1_BlobRef__Output>
      Capability: MessageTypeDefinition<_fedlora_v1_Capability, _fedlora_v1_Capability__Output>
      CreateRunRequest: MessageTypeDefinition<_fedlora_v1_CreateRunRequest, _fedlora_v1_CreateRunRequest__Output>
      ErrorDetail: MessageTypeDefinition<_fedlora_v1_ErrorDetail, _fedlora_v1_ErrorDetail__Output>
      EvaluationSummary: MessageTypeDefinition<_fedlora_v1_EvaluationSummary, _fedlora_v1_EvaluationSummary__Output>
      GetExportRequest: MessageTypeDefinition<_fedlora_v1_GetExportRequest, _fedlora_v1_GetExportRequest__Output>
      GetExportResponse: MessageTypeDefinition<_fedlora_v1_GetExportResponse, _fedlora_v1_GetExportResponse__Output>
      GetPrivacyRequest: MessageTypeDefinition<_fedlora_v1_GetPrivacyRequest, _fedlora_v1_GetPrivacyRequest__Output>
      GetPrivacyResponse: MessageTypeDefinition<_fedlora_v1_GetPrivacyResponse, _fedlora_v1_GetPrivacyResponse__Output>
      GetRunRequest: MessageTypeDefinition<_fedlora_v1_GetRunRequest, _fedlora_v1_GetRunRequest__Output>
      ListRunsRequest: MessageTypeDefinition<_fedlora_v1_ListRunsRequest, _fedlora_v1_ListRunsRequest__Output>
      ListRunsResponse: MessageTypeDefinition<_fedlora_v1_ListRunsResponse, _fedlora_v1_ListRunsResponse__Output>
      PrivacyAccount: MessageTypeDefinition<_fedlora_v1_PrivacyAccount, _fedlora_v1_PrivacyAccount__Output>
      PrivacyEvent: MessageTypeDefinition<_fedlora_v1_PrivacyEvent, _fedlora_v1_PrivacyEvent__Output>
      PrivacyRound: MessageTypeDefinition<_fedlora_v1_PrivacyRound, _fedlora_v1_PrivacyRound__Output>
      RegisterModelRequest: MessageTypeDefinition<_fedlora_v1_RegisterModelRequest, _fedlora_v1_RegisterModelRequest__Output>
      RegisterModelResponse: MessageTypeDefinition<_fedlora_v1_RegisterModelResponse, _fedlora_v1_RegisterModelResponse__Output>
      RoundSummary: MessageTypeDefinition<_fedlora_v1_RoundSummary, _fedlora_v1_RoundSummary__Output>
      RunCommand: MessageTypeDefinition<_fedlora_v1_RunCommand, _fedlora_v1_RunCommand__Output>
      RunEvent: MessageTypeDefinition<_fedlora_v1_RunEvent, _fedlora_v1_RunEvent__Output>
      RunResponse: MessageTypeDefinition<_fedlora_v1_RunResponse, _fedlora_v1_RunResponse__Output>
      RunSummary: MessageTypeDefinition<_fedlora_v1_RunSummary, _fedlora_v1_RunSummary__Output>
      Signature: MessageTypeDefinition<_fedlora_v1_Signature, _fedlora_v1_Signature__Output>
      StepTimes: MessageTypeDefinition<_fedlora_v1_StepTimes, _fedlora_v1_StepTimes__Output>
      WatchRunRequest: MessageTypeDefinition<_fedlora_v1_WatchRunRequest, _fedlora_v1_WatchRunRequest__Output>
    }
  }
}

