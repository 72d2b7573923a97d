// Original file: proto/fedlora/v1/coordinator.proto


export interface DeclineResponse {
}

export interface DeclineResponse__Output {
}
