// Original file: proto/fedlora/v1/coordinator.proto

export const PlanKind = {
  PLAN_KIND_UNSPECIFIED: 'PLAN_KIND_UNSPECIFIED',
  PLAN_KIND_TRAIN: 'PLAN_KIND_TRAIN',
  PLAN_KIND_EVALUATE: 'PLAN_KIND_EVALUATE',
} as const;

export type PlanKind =
  | 'PLAN_KIND_UNSPECIFIED'
  | 0
  | 'PLAN_KIND_TRAIN'
  | 1
  | 'PLAN_KIND_EVALUATE'
  | 2

export type PlanKind__Output = typeof PlanKind[keyof typeof PlanKind]
