import { FedLoraError } from "@fedlora/core";

import { crc32c } from "./crc32c.js";
import { chainAfter, decodeRecord, recordAlignment } from "./record.js";
import type { JournalRecord } from "./record.js";

/**
 * A journal is a row of segment files. Each opening of the journal starts one of its own and none is ever changed by a
 * later process: a segment's records count up to where the next segment starts, so a fenced process that still writes to
 * its old segment harms nobody.
 *
 * Header, 64 bytes little-endian: "FLJSEG01", u64 first sequence, u32 epoch, u32 CRC-32C of all other header bytes, 32
 * bytes chain before the first record, 8 bytes zero.
 */
export interface SegmentName {
  readonly firstSequence: number;
  readonly epoch: number;
  /** Counts the segments of one opening, because a failed write leaves its segment behind. */
  readonly part: number;
}

export interface SegmentHeader {
  readonly firstSequence: number;
  readonly epoch: number;
  readonly chain: Uint8Array;
}

export interface SegmentScan {
  readonly records: readonly { readonly record: JournalRecord; readonly offset: number }[];
  readonly chain: Uint8Array;
  /** Bytes after the last good record that hold nothing that was acknowledged. */
  readonly tornBytes: number;
}

export const segmentHeaderBytes = 64;
const segmentMagic = Buffer.from("FLJSEG01", "latin1");
const namePattern = /^(\d{16})-(\d{10})-(\d{6})\.journal$/;

export function formatSegmentName({ firstSequence, epoch, part }: SegmentName): string {
  const digits = (value: number, width: number): string => String(value).padStart(width, "0");
  return `${digits(firstSequence, 16)}-${digits(epoch, 10)}-${digits(part, 6)}.journal`;
}

export function parseSegmentName(name: string): SegmentName | undefined {
  const match = namePattern.exec(name);
  return match === null
    ? undefined
    : { firstSequence: Number(match[1]), epoch: Number(match[2]), part: Number(match[3]) };
}

export function compareSegments(a: SegmentName, b: SegmentName): number {
  return a.firstSequence - b.firstSequence || a.epoch - b.epoch || a.part - b.part;
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = Buffer.alloc(segmentHeaderBytes);
  bytes.set(segmentMagic, 0);
  bytes.writeBigUInt64LE(BigInt(header.firstSequence), 8);
  bytes.writeUInt32LE(header.epoch, 16);
  bytes.set(header.chain, 24);
  bytes.writeUInt32LE(headerCrc(bytes), 20);
  return bytes;
}

/** Undefined when the header is not intact. */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | undefined {
  if (bytes.byteLength < segmentHeaderBytes) return undefined;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, segmentHeaderBytes);
  if (!view.subarray(0, 8).equals(segmentMagic) || view.readUInt32LE(20) !== headerCrc(view)) return undefined;
  return {
    firstSequence: Number(view.readBigUInt64LE(8)),
    epoch: view.readUInt32LE(16),
    chain: Uint8Array.from(view.subarray(24, 56)),
  };
}

/**
 * Checks a segment's records: bytes, sequences without a gap, hash chain. `endSequence` is the first sequence of the next
 * segment, undefined for the last one. Throws `journal-corrupt` naming the record where one that was acknowledged is damaged.
 */
export function scanSegment(
  file: string,
  bytes: Uint8Array,
  header: SegmentHeader,
  endSequence: number | undefined,
): SegmentScan {
  const records: { record: JournalRecord; offset: number }[] = [];
  let { chain } = header;
  let sequence = header.firstSequence;
  let offset = segmentHeaderBytes;
  while (endSequence === undefined || sequence < endSequence) {
    const decoded = decodeRecord(bytes, offset);
    if (decoded?.record.sequence !== sequence) break;
    const { record, end } = decoded;
    if (!Buffer.from(record.chain).equals(chainAfter(chain, sequence, record.epoch, record.payload))) {
      throw corrupt(file, sequence, offset, "its hash does not continue the chain");
    }
    records.push({ record, offset });
    chain = record.chain;
    sequence += 1;
    offset = end;
  }
  if (endSequence !== undefined) {
    if (sequence < endSequence) throw corrupt(file, sequence, offset, "it is damaged and later records exist");
    return { records, chain, tornBytes: 0 };
  }
  assertNothingDurableAfter(file, bytes, sequence, offset);
  return { records, chain, tornBytes: Math.max(0, bytes.byteLength - offset) };
}

/** A later intact record that was written when `sequence` was durable already proves that this is not a torn tail. */
function assertNothingDurableAfter(file: string, bytes: Uint8Array, sequence: number, start: number): void {
  for (let offset = start + recordAlignment; offset < bytes.byteLength; offset += recordAlignment) {
    const decoded = decodeRecord(bytes, offset);
    if (decoded !== undefined && decoded.record.durableBefore >= sequence) {
      throw corrupt(file, sequence, start, `record ${decoded.record.sequence} after it is intact`);
    }
  }
}

export function corrupt(file: string, sequence: number, offset: number, why: string): FedLoraError {
  return new FedLoraError("journal-corrupt", `journal record ${sequence} in ${file} at byte ${offset}: ${why}`, {
    details: { file, sequence: String(sequence), offset: String(offset) },
  });
}

function headerCrc(bytes: Uint8Array): number {
  return crc32c(bytes.subarray(0, 20), bytes.subarray(24, segmentHeaderBytes));
}
