/** Branded identifiers: a plain string cannot be passed where an id is meant. */
declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

export type RunId = Branded<string, "RunId">;
export type ClientId = Branded<string, "ClientId">;
/** Identifies a plan and the one update that may answer it; unique, used once. */
export type PlanId = Branded<string, "PlanId">;
/** Lower-case hex SHA-256 over the concatenated SHA-256 digests of a blob's 256 KiB chunks. */
export type BlobId = Branded<string, "BlobId">;
/** Lower-case hex SHA-256 of a base model's canonical content, see `model/manifest.ts`. */
export type BaseModelHash = Branded<string, "BaseModelHash">;
/** Starts at 1; 0 is the initial state. */
export type RoundNumber = number;

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const hashPattern = /^[0-9a-f]{64}$/;

export const isRunId = (value: string): value is RunId => idPattern.test(value);
export const isClientId = (value: string): value is ClientId => idPattern.test(value);
export const isPlanId = (value: string): value is PlanId => idPattern.test(value);
export const isBlobId = (value: string): value is BlobId => hashPattern.test(value);
export const isBaseModelHash = (value: string): value is BaseModelHash => hashPattern.test(value);
