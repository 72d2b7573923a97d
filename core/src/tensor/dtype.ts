/** Data types of safetensors that fedlora reads; adapters and updates use the first four. */
export const dtypes = ["F32", "F16", "BF16", "I8", "F64", "I64", "I32", "U8", "BOOL"] as const;
export type DType = (typeof dtypes)[number];

/** Bytes per element. */
export const itemSize: Readonly<Record<DType, number>> = {
  F32: 4,
  F16: 2,
  BF16: 2,
  I8: 1,
  F64: 8,
  I64: 8,
  I32: 4,
  U8: 1,
  BOOL: 1,
};
