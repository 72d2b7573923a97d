import { createHash } from "node:crypto";

import { crc32c } from "./crc32c.js";

/**
 * One journal record, little-endian, padded with zeros to a multiple of 8 bytes:
 *
 *     0  u32  magic "FLR1"
 *     4  u32  payload length in bytes
 *     8  u64  sequence
 *    16  u64  durableBefore: the last sequence that was durable when this record was written
 *    24  u32  epoch
 *    28  u32  CRC-32C over bytes 0..27, the chain and the payload
 *    32  32   chain: SHA-256(chain of the previous record | bytes 8..15 and 24..27 | payload)
 *    64  payload: the event as UTF-8 JSON
 *
 * `durableBefore` tells a torn tail from damage: a broken record that a later intact one calls durable was acknowledged.
 */
export interface JournalRecord {
  readonly sequence: number;
  readonly durableBefore: number;
  readonly epoch: number;
  readonly chain: Uint8Array;
  readonly payload: Uint8Array;
}

export const recordHeaderBytes = 64;
export const recordAlignment = 8;
/** Events are facts, never tensors; a larger one is a mistake. */
export const maxPayloadBytes = 16 * 1024 * 1024;
const recordMagic = 0x31524c46;

export const genesisChain: Uint8Array = new Uint8Array(32);

export function paddedRecordBytes(payloadBytes: number): number {
  return Math.ceil((recordHeaderBytes + payloadBytes) / recordAlignment) * recordAlignment;
}

export function chainAfter(previous: Uint8Array, sequence: number, epoch: number, payload: Uint8Array): Uint8Array {
  const fields = Buffer.alloc(12);
  fields.writeBigUInt64LE(BigInt(sequence), 0);
  fields.writeUInt32LE(epoch, 8);
  return createHash("sha256").update(previous).update(fields).update(payload).digest();
}

/** The bytes of a record that follows `previousChain`, and the chain it leaves. */
export function encodeRecord(
  previousChain: Uint8Array,
  record: Omit<JournalRecord, "chain">,
): { readonly bytes: Uint8Array; readonly chain: Uint8Array } {
  const { payload } = record;
  const chain = chainAfter(previousChain, record.sequence, record.epoch, payload);
  const bytes = Buffer.alloc(paddedRecordBytes(payload.byteLength));
  bytes.writeUInt32LE(recordMagic, 0);
  bytes.writeUInt32LE(payload.byteLength, 4);
  bytes.writeBigUInt64LE(BigInt(record.sequence), 8);
  bytes.writeBigUInt64LE(BigInt(record.durableBefore), 16);
  bytes.writeUInt32LE(record.epoch, 24);
  bytes.set(chain, 32);
  bytes.set(payload, recordHeaderBytes);
  bytes.writeUInt32LE(recordCrc(bytes, payload.byteLength), 28);
  return { bytes, chain };
}

/** The record at `offset` when its bytes are intact, with the offset after it; undefined otherwise. The chain is not checked. */
export function decodeRecord(
  bytes: Uint8Array,
  offset: number,
): { readonly record: JournalRecord; readonly end: number } | undefined {
  if (offset + recordHeaderBytes > bytes.byteLength) return undefined;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset + offset, bytes.byteLength - offset);
  if (view.readUInt32LE(0) !== recordMagic) return undefined;
  const payloadBytes = view.readUInt32LE(4);
  if (payloadBytes > maxPayloadBytes || recordHeaderBytes + payloadBytes > view.byteLength) return undefined;
  if (view.readUInt32LE(28) !== recordCrc(view, payloadBytes)) return undefined;
  return {
    record: {
      sequence: Number(view.readBigUInt64LE(8)),
      durableBefore: Number(view.readBigUInt64LE(16)),
      epoch: view.readUInt32LE(24),
      chain: view.subarray(32, recordHeaderBytes),
      payload: view.subarray(recordHeaderBytes, recordHeaderBytes + payloadBytes),
    },
    end: offset + paddedRecordBytes(payloadBytes),
  };
}

function recordCrc(bytes: Uint8Array, payloadBytes: number): number {
  return crc32c(bytes.subarray(0, 28), bytes.subarray(32, recordHeaderBytes + payloadBytes));
}
