import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { BaseDelta as _fedlora_v1_BaseDelta, BaseDelta__Output as _fedlora_v1_BaseDelta__Output } from './fedlora/v1/BaseDelta.js';
import type { BeginUploadRequest as _fedlora_v1_BeginUploadRequest, BeginUploadRequest__Output as _fedlora_v1_BeginUploadRequest__Output } from './fedlora/v1/BeginUploadRequest.js';
import type { BeginUploadResponse as _fedlora_v1_BeginUploadResponse, BeginUploadResponse__Output as _fedlora_v1_BeginUploadResponse__Output } from './fedlora/v1/BeginUploadResponse.js';
import type { BlobChunk as _fedlora_v1_BlobChunk, BlobChunk__Output as _fedlora_v1_BlobChunk__Output } from './fedlora/v1/BlobChunk.js';
import type { BlobRef as _fedlora_v1_BlobRef, BlobRef__Output as _fedlora_v1_BlobRef__Output } from './fedlora/v1/BlobRef.js';
import type { Capability as _fedlora_v1_Capability, Capability__Output as _fedlora_v1_Capability__Output } from './fedlora/v1/Capability.js';
import type { CommitRequest as _fedlora_v1_CommitRequest, CommitRequest__Output as _fedlora_v1_CommitRequest__Output } from './fedlora/v1/CommitRequest.js';
import type { CommitResponse as _fedlora_v1_CommitResponse, CommitResponse__Output as _fedlora_v1_CommitResponse__Output } from './fedlora/v1/CommitResponse.js';
import type { CoordinatorClient as _fedlora_v1_CoordinatorClient, CoordinatorDefinition as _fedlora_v1_CoordinatorDefinition } from './fedlora/v1/Coordinator.js';
import type { DeclineRequest as _fedlora_v1_DeclineRequest, DeclineRequest__Output as _fedlora_v1_DeclineRequest__Output } from './fedlora/v1/DeclineRequest.js';
import type { DeclineResponse as _fedlora_v1_DeclineResponse, DeclineResponse__Output as _fedlora_v1_DeclineResponse__Output } from './fedlora/v1/DeclineResponse.js';
import type { EnrolRequest as _fedlora_v1_EnrolRequest, EnrolRequest__Output as _fedlora_v1_EnrolRequest__Output } from './fedlora/v1/EnrolRequest.js';
import type { EnrolResponse as _fedlora_v1_EnrolResponse, EnrolResponse__Output as _fedlora_v1_EnrolResponse__Output } from './fedlora/v1/EnrolResponse.js';
import type { ErrorDetail as _fedlora_v1_ErrorDetail, ErrorDetail__Output as _fedlora_v1_ErrorDetail__Output } from './fedlora/v1/ErrorDetail.js';
import type { EvaluationCounts as _fedlora_v1_EvaluationCounts, EvaluationCounts__Output as _fedlora_v1_EvaluationCounts__Output } from './fedlora/v1/EvaluationCounts.js';
import type { GetBlobRequest as _fedlora_v1_GetBlobRequest, GetBlobRequest__Output as _fedlora_v1_GetBlobRequest__Output } from './fedlora/v1/GetBlobRequest.js';
import type { PollRequest as _fedlora_v1_PollRequest, PollRequest__Output as _fedlora_v1_PollRequest__Output } from './fedlora/v1/PollRequest.js';
import type { PollResponse as _fedlora_v1_PollResponse, PollResponse__Output as _fedlora_v1_PollResponse__Output } from './fedlora/v1/PollResponse.js';
import type { PutChunkRequest as _fedlora_v1_PutChunkRequest, PutChunkRequest__Output as _fedlora_v1_PutChunkRequest__Output } from './fedlora/v1/PutChunkRequest.js';
import type { PutChunkResponse as _fedlora_v1_PutChunkResponse, PutChunkResponse__Output as _fedlora_v1_PutChunkResponse__Output } from './fedlora/v1/PutChunkResponse.js';
import type { Receipt as _fedlora_v1_Receipt, Receipt__Output as _fedlora_v1_Receipt__Output } from './fedlora/v1/Receipt.js';
import type { ReportRequest as _fedlora_v1_ReportRequest, ReportRequest__Output as _fedlora_v1_ReportRequest__Output } from './fedlora/v1/ReportRequest.js';
import type { ReportResponse as _fedlora_v1_ReportResponse, ReportResponse__Output as _fedlora_v1_ReportResponse__Output } from './fedlora/v1/ReportResponse.js';
import type { RoundPlan as _fedlora_v1_RoundPlan, RoundPlan__Output as _fedlora_v1_RoundPlan__Output } from './fedlora/v1/RoundPlan.js';
import type { RunEnded as _fedlora_v1_RunEnded, RunEnded__Output as _fedlora_v1_RunEnded__Output } from './fedlora/v1/RunEnded.js';
import type { Signature as _fedlora_v1_Signature, Signature__Output as _fedlora_v1_Signature__Output } from './fedlora/v1/Signature.js';
import type { StepTimes as _fedlora_v1_StepTimes, StepTimes__Output as _fedlora_v1_StepTimes__Output } from './fedlora/v1/StepTimes.js';
import type { UpdateMetrics as _fedlora_v1_UpdateMetrics, UpdateMetrics__Output as _fedlora_v1_UpdateMetrics__Output } from './fedlora/v1/UpdateMetrics.js';
import type { Wait as _fedlora_v1_Wait, Wait__Output as _fedlora_v1_Wait__Output } from './fedlora/v1/Wait.js';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  fedlora: {
    v1: {
      BaseDelta: MessageTypeDefinition<_fedlora_v1_BaseDelta, _fedlora_v1_BaseDelta__Output>
      BeginUploadRequest: MessageTypeDefinition<_fedlora_v1_BeginUploadRequest, _fedlora_v1_BeginUploadRequest__Output>
      BeginUploadResponse: MessageTypeDefinition<_fedlora_v1_BeginUploadResponse, _fedlora_v1_BeginUploadResponse__Output>
      BlobChunk: MessageTypeDefinition<_fedlora_v1_BlobChunk, _fedlora_v1_BlobChunk__Output>
      BlobRef: MessageTypeDefinition<_fedlora_v1_BlobRef, _fedlora_v1_BlobRef__Output>
      Capability: MessageTypeDefinition<_fedlora_v1_Capability, _fedlora_v1_Capability__Output>
      CommitRequest: MessageTypeDefinition<_fedlora_v1_CommitRequest, _fedlora_v1_CommitRequest__Output>
      CommitResponse: MessageTypeDefinition<_fedlora_v1_CommitResponse, _fedlora_v1_CommitResponse__Output>
      Coordinator: SubtypeConstructor<typeof grpc.Client, _fedlora_v1_CoordinatorClient> & { service: _fedlora_v1_CoordinatorDefinition }
      DeclineRequest: MessageTypeDefinition<_fedlora_v1_DeclineRequest, _fedlora_v1_DeclineRequest__Output>
      DeclineResponse: MessageTypeDefinition<_fedlora_v1_DeclineResponse, _fedlora_v1_DeclineResponse__Output>
      EnrolRequest: MessageTypeDefinition<_fedlora_v1_EnrolRequest, _fedlora_v1_EnrolRequest__Output>
      EnrolResponse: MessageTypeDefinition<_fedlora_v1_EnrolResponse, _fedlora_v1_EnrolResponse__Output>
      ErrorDetail: MessageTypeDefinition<_fedlora_v1_ErrorDetail, _fedlora_v1_ErrorDetail__Output>
      EvaluationCounts: MessageTypeDefinition<_fedlora_v1_EvaluationCounts, _fedlora_v1_EvaluationCounts__Output>
      GetBlobRequest: MessageTypeDefinition<_fedlora_v1_GetBlobRequest, _fedlora_v1_GetBlobRequest__Output>
      PlanKind: EnumTypeDefinition
      PollRequest: MessageTypeDefinition<_fedlora_v1_PollRequest, _fedlora_v1_PollRequest__Output>
      PollResponse: MessageTypeDefinition<_fedlora_v1_PollResponse, _fedlora_v1_PollResponse__Output>
      PutChunkRequest: MessageTypeDefinition<_fedlora_v1_PutChunkRequest, _fedlora_v1_PutChunkRequest__Output>
      PutChunkResponse: MessageTypeDefinition<_fedlora_v1_PutChunkResponse, _fedlora_v1_PutChunkResponse__Output>
      Receipt: MessageTypeDefinition<_fedlora_v1_Receipt, _fedlora_v1_Receipt__Output>
      ReportRequest: MessageTypeDefinition<_fedlora_v1_ReportRequest, _fedlora_v1_ReportRequest__Output>
      ReportResponse: MessageTypeDefinition<_fedlora_v1_ReportResponse, _fedlora_v1_ReportResponse__Output>
      RoundPlan: MessageTypeDefinition<_fedlora_v1_RoundPlan, _fedlora_v1_RoundPlan__Output>
      RunEnded: MessageTypeDefinition<_fedlora_v1_RunEnded, _fedlora_v1_RunEnded__Output>
      Signature: MessageTypeDefinition<_fedlora_v1_Signature, _fedlora_v1_Signature__Output>
      StepTimes: MessageTypeDefinition<_fedlora_v1_StepTimes, _fedlora_v1_StepTimes__Output>
      UpdateMetrics: MessageTypeDefinition<_fedlora_v1_UpdateMetrics, _fedlora_v1_UpdateMetrics__Output>
      Wait: MessageTypeDefinition<_fedlora_v1_Wait, _fedlora_v1_Wait__Output>
    }
  }
}

