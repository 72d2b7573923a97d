// Written by scripts/gen-proto.mjs from proto/fedlora/v1; do not edit.
export const descriptor = {
  "nested": {
    "fedlora": {
      "nested": {
        "v1": {
          "nested": {
            "Coordinator": {
              "methods": {
                "Enrol": {
                  "requestType": "EnrolRequest",
                  "responseType": "EnrolResponse"
                },
                "Poll": {
                  "requestType": "PollRequest",
                  "responseType": "PollResponse"
                },
                "GetBlob": {
                  "requestType": "GetBlobRequest",
                  "responseType": "BlobChunk",
                  "responseStream": true
                },
                "BeginUpload": {
                  "requestType": "BeginUploadRequest",
                  "responseType": "BeginUploadResponse"
                },
                "PutChunk": {
                  "requestType": "PutChunkRequest",
                  "responseType": "PutChunkResponse"
                },
                "PutChunks": {
                  "requestType": "PutChunkRequest",
                  "requestStream": true,
                  "responseType": "PutChunkResponse"
                },
                "Commit": {
                  "requestType": "CommitRequest",
                  "responseType": "CommitResponse"
                },
                "Decline": {
                  "requestType": "DeclineRequest",
                  "responseType": "DeclineResponse"
                },
                "Report": {
                  "requestType": "ReportRequest",
                  "responseType": "ReportResponse"
                }
              }
            },
            "EnrolRequest": {
              "fields": {
                "protocolVersions": {
                  "rule": "repeated",
                  "type": "uint32",
                  "id": 1
                },
                "publicKey": {
                  "type": "bytes",
                  "id": 2
                },
                "nonce": {
                  "type": "bytes",
                  "id": 3
                },
                "proof": {
                  "type": "bytes",
                  "id": 4
                },
                "name": {
                  "type": "string",
                  "id": 5
                },
                "capability": {
                  "type": "Capability",
                  "id": 6
                },
                "baseModelHashes": {
                  "rule": "repeated",
                  "type": "string",
                  "id": 7
                }
              }
            },
            "EnrolResponse": {
              "fields": {
                "protocolVersion": {
                  "type": "uint32",
                  "id": 1
                },
                "clientId": {
                  "type": "string",
                  "id": 2
                },
                "session": {
                  "type": "bytes",
                  "id": 3
                },
                "coordinatorPublicKey": {
                  "type": "bytes",
                  "id": 4
                },
                "chunkBytes": {
                  "type": "uint32",
                  "id": 5
                },
                "pollWaitMs": {
                  "type": "uint64",
                  "id": 6
                },
                "directives": {
                  "rule": "repeated",
                  "type": "string",
                  "id": 7
                }
              }
            },
            "PollRequest": {
              "fields": {
                "waitMs": {
                  "type": "uint64",
                  "id": 1
                },
                "capability": {
                  "type": "Capability",
                  "id": 2
                },
                "runId": {
                  "type": "string",
                  "id": 3
                },
                "baseModelHashes": {
                  "rule": "repeated",
                  "type": "string",
                  "id": 4
                }
              }
            },
            "PollResponse": {
              "oneofs": {
                "answer": {
                  "oneof": [
                    "plan",
                    "wait",
                    "ended"
                  ]
                }
              },
              "fields": {
                "plan": {
                  "type": "RoundPlan",
                  "id": 1
                },
                "wait": {
                  "type": "Wait",
                  "id": 2
                },
                "ended": {
                  "type": "RunEnded",
                  "id": 3
                }
              }
            },
            "Wait": {
              "fields": {
                "retryAfterMs": {
                  "type": "uint64",
                  "id": 1
                },
                "reason": {
                  "type": "string",
                  "id": 2
                }
              }
            },
            "RunEnded": {
              "fields": {
                "runId": {
                  "type": "string",
                  "id": 1
                },
                "state": {
                  "type": "string",
                  "id": 2
                },
                "globalAdapter": {
                  "type": "BlobRef",
                  "id": 3
                },
                "instructions": {
                  "type": "BlobRef",
                  "id": 4
                },
                "baseDeltas": {
                  "rule": "repeated",
                  "type": "BaseDelta",
                  "id": 5
                }
              }
            },
            "RoundPlan": {
              "fields": {
                "planId": {
                  "type": "string",
                  "id": 1
                },
                "runId": {
                  "type": "string",
                  "id": 2
                },
                "round": {
                  "type": "uint32",
                  "id": 3
                },
                "kind": {
                  "type": "PlanKind",
                  "id": 4
                },
                "method": {
                  "type": "string",
                  "id": 5
                },
                "methodVersion": {
                  "type": "uint32",
                  "id": 6
                },
                "baseModelHash": {
                  "type": "string",
                  "id": 7
                },
                "baseVersion": {
                  "type": "uint32",
                  "id": 8
                },
                "instructions": {
                  "type": "BlobRef",
                  "id": 9
                },
                "globalAdapter": {
                  "type": "BlobRef",
                  "id": 10
                },
                "frozen": {
                  "rule": "repeated",
                  "type": "BlobRef",
                  "id": 11
                },
                "deadlineMs": {
                  "type": "uint64",
                  "id": 12
                },
                "downloadBytes": {
                  "type": "uint64",
                  "id": 13
                },
                "uploadBytes": {
                  "type": "uint64",
                  "id": 14
                },
                "signature": {
                  "type": "Signature",
                  "id": 15
                },
                "baseDeltas": {
                  "rule": "repeated",
                  "type": "BaseDelta",
                  "id": 16
                }
              }
            },
            "PlanKind": {
              "values": {
                "PLAN_KIND_UNSPECIFIED": 0,
                "PLAN_KIND_TRAIN": 1,
                "PLAN_KIND_EVALUATE": 2
              }
            },
            "GetBlobRequest": {
              "fields": {
                "blobId": {
                  "type": "string",
                  "id": 1
                },
                "offset": {
                  "type": "uint64",
                  "id": 2
                },
                "length": {
                  "type": "uint64",
                  "id": 3
                }
              }
            },
            "BlobChunk": {
              "fields": {
                "offset": {
                  "type": "uint64",
                  "id": 1
                },
                "data": {
                  "type": "bytes",
                  "id": 2
                },
                "sha256": {
                  "type": "bytes",
                  "id": 3
                },
                "total": {
                  "type": "uint64",
                  "id": 4
                }
              }
            },
            "BeginUploadRequest": {
              "fields": {
                "planId": {
                  "type": "string",
                  "id": 1
                },
                "blob": {
                  "type": "BlobRef",
                  "id": 2
                }
              }
            },
            "BeginUploadResponse": {
              "fields": {
                "uploadId": {
                  "type": "string",
                  "id": 1
                },
                "nextOffset": {
                  "type": "uint64",
                  "id": 2
                },
                "chunkBytes": {
                  "type": "uint32",
                  "id": 3
                },
                "complete": {
                  "type": "bool",
                  "id": 4
                }
              }
            },
            "PutChunkRequest": {
              "fields": {
                "uploadId": {
                  "type": "string",
                  "id": 1
                },
                "offset": {
                  "type": "uint64",
                  "id": 2
                },
                "data": {
                  "type": "bytes",
                  "id": 3
                },
                "sha256": {
                  "type": "bytes",
                  "id": 4
                }
              }
            },
            "PutChunkResponse": {
              "fields": {
                "nextOffset": {
                  "type": "uint64",
                  "id": 1
                }
              }
            },
            "CommitRequest": {
              "fields": {
                "planId": {
                  "type": "string",
                  "id": 1
                },
                "uploadId": {
                  "type": "string",
                  "id": 2
                },
                "metrics": {
                  "type": "UpdateMetrics",
                  "id": 3
                }
              }
            },
            "UpdateMetrics": {
              "oneofs": {
                "_trainLoss": {
                  "oneof": [
                    "trainLoss"
                  ]
                },
                "_receivedLoss": {
                  "oneof": [
                    "receivedLoss"
                  ]
                }
              },
              "fields": {
                "numExamples": {
                  "type": "uint64",
                  "id": 1
                },
                "numSteps": {
                  "type": "uint64",
                  "id": 2
                },
                "trainLoss": {
                  "type": "double",
                  "id": 3,
                  "options": {
                    "proto3_optional": true
                  }
                },
                "evaluation": {
                  "type": "EvaluationCounts",
                  "id": 4
                },
                "trainMs": {
                  "type": "double",
                  "id": 5
                },
                "receivedLoss": {
                  "type": "double",
                  "id": 6,
                  "options": {
                    "proto3_optional": true
                  }
                }
              }
            },
            "EvaluationCounts": {
              "fields": {
                "count": {
                  "type": "double",
                  "id": 1
                },
                "lossSum": {
                  "type": "double",
                  "id": 2
                },
                "confusion": {
                  "rule": "repeated",
                  "type": "double",
                  "id": 3
                }
              }
            },
            "CommitResponse": {
              "fields": {
                "receipt": {
                  "type": "Receipt",
                  "id": 1
                }
              }
            },
            "Receipt": {
              "fields": {
                "planId": {
                  "type": "string",
                  "id": 1
                },
                "runId": {
                  "type": "string",
                  "id": 2
                },
                "round": {
                  "type": "uint32",
                  "id": 3
                },
                "clientId": {
                  "type": "string",
                  "id": 4
                },
                "blobId": {
                  "type": "string",
                  "id": 5
                },
                "sequence": {
                  "type": "uint64",
                  "id": 6
                },
                "signature": {
                  "type": "Signature",
                  "id": 7
                }
              }
            },
            "DeclineRequest": {
              "fields": {
                "planId": {
                  "type": "string",
                  "id": 1
                },
                "code": {
                  "type": "string",
                  "id": 2
                },
                "reason": {
                  "type": "string",
                  "id": 3
                }
              }
            },
            "DeclineResponse": {
              "fields": {}
            },
            "ReportRequest": {
              "oneofs": {
                "_loss": {
                  "oneof": [
                    "loss"
                  ]
                }
              },
              "fields": {
                "planId": {
                  "type": "string",
                  "id": 1
                },
                "stage": {
                  "type": "string",
                  "id": 2
                },
                "step": {
                  "type": "uint64",
                  "id": 3
                },
                "totalSteps": {
                  "type": "uint64",
                  "id": 4
                },
                "loss": {
                  "type": "double",
                  "id": 5,
                  "options": {
                    "proto3_optional": true
                  }
                },
                "capability": {
                  "type": "Capability",
                  "id": 6
                }
              }
            },
            "ReportResponse": {
              "fields": {
                "planOpen": {
                  "type": "bool",
                  "id": 1
                },
                "deadlineMs": {
                  "type": "uint64",
                  "id": 2
                }
              }
            },
            "Signature": {
              "fields": {
                "keyId": {
                  "type": "bytes",
                  "id": 1
                },
                "value": {
                  "type": "bytes",
                  "id": 2
                }
              }
            },
            "ErrorDetail": {
              "fields": {
                "code": {
                  "type": "string",
                  "id": 1
                },
                "message": {
                  "type": "string",
                  "id": 2
                },
                "details": {
                  "keyType": "string",
                  "type": "string",
                  "id": 3
                },
                "retryAfterMs": {
                  "type": "uint64",
                  "id": 4
                }
              }
            },
            "BlobRef": {
              "fields": {
                "blobId": {
                  "type": "string",
                  "id": 1
                },
                "size": {
                  "type": "uint64",
                  "id": 2
                }
              }
            },
            "BaseDelta": {
              "fields": {
                "fromVersion": {
                  "type": "uint32",
                  "id": 1
                },
                "toVersion": {
                  "type": "uint32",
                  "id": 2
                },
                "blob": {
                  "type": "BlobRef",
                  "id": 3
                }
              }
            },
            "Capability": {
              "fields": {
                "memoryBytes": {
                  "type": "uint64",
                  "id": 1
                },
                "stepMs": {
                  "type": "double",
                  "id": 2
                },
                "uploadBytesPerSecond": {
                  "type": "double",
                  "id": 3
                },
                "engine": {
                  "type": "string",
                  "id": 4
                },
                "engineFingerprint": {
                  "type": "string",
                  "id": 5
                },
                "directives": {
                  "rule": "repeated",
                  "type": "string",
                  "id": 6
                },
                "codecs": {
                  "rule": "repeated",
                  "type": "string",
                  "id": 7
                },
                "maxRank": {
                  "type": "uint32",
                  "id": 8
                },
                "measurements": {
                  "keyType": "string",
                  "type": "double",
                  "id": 9
                },
                "stepTimes": {
                  "type": "StepTimes",
                  "id": 10
                },
                "deviceClass": {
                  "type": "string",
                  "id": 11
                }
              }
            },
            "StepTimes": {
              "fields": {
                "forwardMs": {
                  "type": "double",
                  "id": 1
                },
                "layerMs": {
                  "type": "double",
                  "id": 2
                },
                "batchTokens": {
                  "type": "uint64",
                  "id": 3
                },
                "forwardBytes": {
                  "type": "uint64",
                  "id": 4
                },
                "layerBytes": {
                  "type": "uint64",
                  "id": 5
                },
                "runId": {
                  "type": "string",
                  "id": 6
                }
              }
            },
            "Admin": {
              "methods": {
                "RegisterModel": {
                  "requestType": "RegisterModelRequest",
                  "responseType": "RegisterModelResponse"
                },
                "CreateRun": {
                  "requestType": "CreateRunRequest",
                  "responseType": "RunResponse"
                },
                "ListRuns": {
                  "requestType": "ListRunsRequest",
                  "responseType": "ListRunsResponse"
                },
                "GetRun": {
                  "requestType": "GetRunRequest",
                  "responseType": "RunResponse"
                },
                "StopRun": {
                  "requestType": "RunCommand",
                  "responseType": "RunResponse"
                },
                "ResumeRun": {
                  "requestType": "RunCommand",
                  "responseType": "RunResponse"
                },
                "WatchRun": {
                  "requestType": "WatchRunRequest",
                  "responseType": "RunEvent",
                  "responseStream": true
                },
                "GetExport": {
                  "requestType": "GetExportRequest",
                  "responseType": "GetExportResponse"
                },
                "GetBlob": {
                  "requestType": "AdminGetBlobRequest",
                  "responseType": "AdminBlobChunk",
                  "responseStream": true
                },
                "PutBlob": {
                  "requestType": "AdminPutBlobRequest",
                  "requestStream": true,
                  "responseType": "BlobRef"
                },
                "GetPrivacy": {
                  "requestType": "GetPrivacyRequest",
                  "responseType": "GetPrivacyResponse"
                },
                "Audit": {
                  "requestType": "AuditRequest",
                  "responseType": "AuditRecord",
                  "responseStream": true
                }
              }
            },
            "RegisterModelRequest": {
              "fields": {
                "idempotencyKey": {
                  "type": "string",
                  "id": 1
                },
                "manifestJson": {
                  "type": "string",
                  "id": 2
                }
              }
            },
            "RegisterModelResponse": {
              "fields": {
                "hash": {
                  "type": "string",
                  "id": 1
                }
              }
            },
            "CreateRunRequest": {
              "fields": {
                "idempotencyKey": {
                  "type": "string",
                  "id": 1
                },
                "specJson": {
                  "type": "string",
                  "id": 2
                }
              }
            },
            "ListRunsRequest": {
              "fields": {}
            },
            "ListRunsResponse": {
              "fields": {
                "runs": {
                  "rule": "repeated",
                  "type": "RunSummary",
                  "id": 1
                }
              }
            },
            "GetRunRequest": {
              "fields": {
                "runId": {
                  "type": "string",
                  "id": 1
                },
                "afterRound": {
                  "type": "uint32",
                  "id": 2
                }
              }
            },
            "RunCommand": {
              "fields": {
                "idempotencyKey": {
                  "type": "string",
                  "id": 1
                },
                "runId": {
                  "type": "string",
                  "id": 2
                },
                "reason": {
                  "type": "string",
                  "id": 3
                }
              }
            },
            "RunSummary": {
              "fields": {
                "runId": {
                  "type": "string",
                  "id": 1
                },
                "name": {
                  "type": "string",
                  "id": 2
                },
                "state": {
                  "type": "string",
                  "id": 3
                },
                "phase": {
                  "type": "string",
                  "id": 4
                },
                "round": {
                  "type": "uint32",
                  "id": 5
                },
                "rounds": {
                  "type": "uint32",
                  "id": 6
                },
                "method": {
                  "type": "string",
                  "id": 7
                },
                "reason": {
                  "type": "string",
                  "id": 8
                },
                "createdMs": {
                  "type": "uint64",
                  "id": 9
                },
                "baseModelHash": {
                  "type": "string",
                  "id": 10
                }
              }
            },
            "RunResponse": {
              "fields": {
                "summary": {
                  "type": "RunSummary",
                  "id": 1
                },
                "specJson": {
                  "type": "string",
                  "id": 2
                },
                "rounds": {
                  "rule": "repeated",
                  "type": "RoundSummary",
                  "id": 3
                },
                "bestRound": {
                  "type": "uint32",
                  "id": 4
                },
                "globalAdapter": {
                  "type": "BlobRef",
                  "id": 5
                },
                "moreRounds": {
                  "type": "bool",
                  "id": 6
                }
              }
            },
            "RoundSummary": {
              "oneofs": {
                "_trainLoss": {
                  "oneof": [
                    "trainLoss"
                  ]
                }
              },
              "fields": {
                "round": {
                  "type": "uint32",
                  "id": 1
                },
                "planned": {
                  "type": "uint32",
                  "id": 2
                },
                "accepted": {
                  "type": "uint32",
                  "id": 3
                },
                "refused": {
                  "type": "uint32",
                  "id": 4
                },
                "declined": {
                  "type": "uint32",
                  "id": 5
                },
                "dropouts": {
                  "type": "uint32",
                  "id": 6
                },
                "trainLoss": {
                  "type": "double",
                  "id": 7,
                  "options": {
                    "proto3_optional": true
                  }
                },
                "evaluation": {
                  "type": "EvaluationSummary",
                  "id": 8
                },
                "bytesUp": {
                  "type": "uint64",
                  "id": 9
                },
                "bytesDown": {
                  "type": "uint64",
                  "id": 10
                },
                "durationMs": {
                  "type": "uint64",
                  "id": 11
                },
                "adapterBlobId": {
                  "type": "string",
                  "id": 12
                },
                "methodMetrics": {
                  "keyType": "string",
                  "type": "double",
                  "id": 13
                }
              }
            },
            "EvaluationSummary": {
              "oneofs": {
                "_accuracy": {
                  "oneof": [
                    "accuracy"
                  ]
                },
                "_f1": {
                  "oneof": [
                    "f1"
                  ]
                }
              },
              "fields": {
                "count": {
                  "type": "double",
                  "id": 1
                },
                "loss": {
                  "type": "double",
                  "id": 2
                },
                "accuracy": {
                  "type": "double",
                  "id": 3,
                  "options": {
                    "proto3_optional": true
                  }
                },
                "f1": {
                  "type": "double",
                  "id": 4,
                  "options": {
                    "proto3_optional": true
                  }
                },
                "confusion": {
                  "rule": "repeated",
                  "type": "double",
                  "id": 5
                }
              }
            },
            "WatchRunRequest": {
              "fields": {
                "runId": {
                  "type": "string",
                  "id": 1
                },
                "afterSequence": {
                  "type": "uint64",
                  "id": 2
                }
              }
            },
            "RunEvent": {
              "fields": {
                "sequence": {
                  "type": "uint64",
                  "id": 1
                },
                "kind": {
                  "type": "string",
                  "id": 2
                },
                "round": {
                  "type": "uint32",
                  "id": 3
                },
                "clientId": {
                  "type": "string",
                  "id": 4
                },
                "atMs": {
                  "type": "uint64",
                  "id": 5
                },
                "json": {
                  "type": "string",
                  "id": 6
                }
              }
            },
            "GetExportRequest": {
              "fields": {
                "runId": {
                  "type": "string",
                  "id": 1
                },
                "round": {
                  "type": "uint32",
                  "id": 2
                },
                "form": {
                  "type": "string",
                  "id": 3
                }
              }
            },
            "GetExportResponse": {
              "fields": {
                "adapter": {
                  "type": "BlobRef",
                  "id": 1
                },
                "adapterConfigJson": {
                  "type": "string",
                  "id": 2
                },
                "round": {
                  "type": "uint32",
                  "id": 3
                },
                "baseDeltas": {
                  "rule": "repeated",
                  "type": "BaseDelta",
                  "id": 4
                }
              }
            },
            "AdminPutBlobRequest": {
              "fields": {
                "blob": {
                  "type": "BlobRef",
                  "id": 1
                },
                "data": {
                  "type": "bytes",
                  "id": 2
                }
              }
            },
            "AdminGetBlobRequest": {
              "fields": {
                "blobId": {
                  "type": "string",
                  "id": 1
                }
              }
            },
            "AdminBlobChunk": {
              "fields": {
                "offset": {
                  "type": "uint64",
                  "id": 1
                },
                "data": {
                  "type": "bytes",
                  "id": 2
                },
                "sha256": {
                  "type": "bytes",
                  "id": 3
                },
                "total": {
                  "type": "uint64",
                  "id": 4
                }
              }
            },
            "GetPrivacyRequest": {
              "fields": {
                "runId": {
                  "type": "string",
                  "id": 1
                },
                "afterRound": {
                  "type": "uint32",
                  "id": 2
                }
              }
            },
            "GetPrivacyResponse": {
              "fields": {
                "mode": {
                  "type": "string",
                  "id": 1
                },
                "account": {
                  "type": "PrivacyAccount",
                  "id": 3
                },
                "rounds": {
                  "rule": "repeated",
                  "type": "PrivacyRound",
                  "id": 4
                },
                "moreRounds": {
                  "type": "bool",
                  "id": 5
                }
              },
              "reserved": [
                [
                  2,
                  2
                ],
                "ledger_json"
              ]
            },
            "PrivacyAccount": {
              "oneofs": {
                "_epsilonSpentLower": {
                  "oneof": [
                    "epsilonSpentLower"
                  ]
                },
                "_epsilonBudget": {
                  "oneof": [
                    "epsilonBudget"
                  ]
                },
                "_samplingRate": {
                  "oneof": [
                    "samplingRate"
                  ]
                }
              },
              "fields": {
                "accountant": {
                  "type": "string",
                  "id": 1
                },
                "delta": {
                  "type": "double",
                  "id": 2
                },
                "epsilonSpent": {
                  "type": "double",
                  "id": 3
                },
                "epsilonSpentLower": {
                  "type": "double",
                  "id": 4,
                  "options": {
                    "proto3_optional": true
                  }
                },
                "epsilonSettled": {
                  "type": "double",
                  "id": 5
                },
                "epsilonBudget": {
                  "type": "double",
                  "id": 6,
                  "options": {
                    "proto3_optional": true
                  }
                },
                "noiseMultiplier": {
                  "type": "double",
                  "id": 7
                },
                "noiseSolved": {
                  "type": "bool",
                  "id": 8
                },
                "clipNorm": {
                  "type": "double",
                  "id": 9
                },
                "samplingRate": {
                  "type": "double",
                  "id": 10,
                  "options": {
                    "proto3_optional": true
                  }
                },
                "events": {
                  "rule": "repeated",
                  "type": "PrivacyEvent",
                  "id": 11
                },
                "warnings": {
                  "rule": "repeated",
                  "type": "string",
                  "id": 12
                }
              }
            },
            "PrivacyEvent": {
              "fields": {
                "mechanism": {
                  "type": "string",
                  "id": 1
                },
                "noiseMultiplier": {
                  "type": "double",
                  "id": 2
                },
                "samplingRate": {
                  "type": "double",
                  "id": 3
                },
                "reason": {
                  "type": "string",
                  "id": 4
                },
                "count": {
                  "type": "uint64",
                  "id": 5
                }
              }
            },
            "PrivacyRound": {
              "oneofs": {
                "_unclippedShare": {
                  "oneof": [
                    "unclippedShare"
                  ]
                }
              },
              "fields": {
                "round": {
                  "type": "uint32",
                  "id": 1
                },
                "epsilon": {
                  "type": "double",
                  "id": 2
                },
                "clipNorm": {
                  "type": "double",
                  "id": 3
                },
                "unclippedShare": {
                  "type": "double",
                  "id": 4,
                  "options": {
                    "proto3_optional": true
                  }
                }
              }
            },
            "AuditRequest": {
              "fields": {
                "runId": {
                  "type": "string",
                  "id": 1
                },
                "afterSequence": {
                  "type": "uint64",
                  "id": 2
                }
              }
            },
            "AuditRecord": {
              "fields": {
                "sequence": {
                  "type": "uint64",
                  "id": 1
                },
                "json": {
                  "type": "string",
                  "id": 2
                }
              }
            }
          }
        }
      }
    }
  }
};
