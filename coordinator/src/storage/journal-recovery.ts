import { FedLoraError } from "@fedlora/core";

import type { FileSystem } from "./file-system.js";
import { readWholeFile } from "./file-system.js";
import { genesisChain } from "./record.js";
import type { SegmentHeader, SegmentName } from "./segment.js";
import {
  compareSegments,
  corrupt,
  decodeSegmentHeader,
  formatSegmentName,
  parseSegmentName,
  scanSegment,
  segmentHeaderBytes,
} from "./segment.js";

/** What the segment files hold: where the journal ends and what was cut off there. */
export interface OpenedJournal {
  readonly sequence: number;
  readonly chain: Uint8Array;
  readonly segments: readonly { readonly name: string; readonly firstSequence: number; readonly bytes: number }[];
  /** Set when the tail held bytes of a write that was never acknowledged. */
  readonly tornTail: TornTail | undefined;
}

export interface TornTail {
  readonly file: string;
  readonly bytes: number;
  readonly afterSequence: number;
}

interface Candidate {
  readonly name: SegmentName;
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly header: SegmentHeader;
}

/** Reads and checks the whole journal. Throws `journal-corrupt` naming the record or the segment that is damaged or missing. */
export async function recoverJournal(fileSystem: FileSystem, folder: string): Promise<OpenedJournal> {
  const names = (await fileSystem.list(folder)).map(parseSegmentName).filter((name) => name !== undefined);
  names.sort(compareSegments);
  let sequence = (names[0]?.firstSequence ?? 1) - 1;
  let chain: Uint8Array = genesisChain;
  let tornTail: TornTail | undefined;
  const segments: { name: string; firstSequence: number; bytes: number }[] = [];
  // One segment is in memory at a time; each is scanned when the start of the one after it is known.
  let previous: Candidate | undefined;
  const finish = (segment: Candidate, endSequence: number | undefined): void => {
    const { file, header, bytes } = segment;
    if (sequence !== header.firstSequence - 1) {
      throw corrupt(file, sequence + 1, 0, `${file} starts at ${header.firstSequence}, a segment before it is missing`);
    }
    if (segments.length > 0 && !Buffer.from(header.chain).equals(chain)) {
      throw corrupt(file, header.firstSequence, 0, "its segment does not continue the chain");
    }
    const scan = scanSegment(file, bytes, header, endSequence);
    sequence += scan.records.length;
    chain = scan.chain;
    if (scan.tornBytes > 0) tornTail = { file, bytes: scan.tornBytes, afterSequence: sequence };
    segments.push({ name: file, firstSequence: header.firstSequence, bytes: bytes.byteLength });
  };
  for (const [index, name] of names.entries()) {
    const current = await readSegment(fileSystem, folder, name, index === names.length - 1);
    if (current === undefined) continue;
    if (previous !== undefined) finish(previous, name.firstSequence);
    previous = current;
  }
  if (previous !== undefined) finish(previous, undefined);
  return { sequence, chain, segments, tornTail };
}

/** Undefined for a segment whose creation was interrupted: it never held a record. */
async function readSegment(
  fileSystem: FileSystem,
  folder: string,
  name: SegmentName,
  isLast: boolean,
): Promise<Candidate | undefined> {
  const file = formatSegmentName(name);
  const bytes = await readWholeFile(fileSystem, `${folder}/${file}`);
  const header = decodeSegmentHeader(bytes);
  if (header?.firstSequence === name.firstSequence) return { name, file, bytes, header };
  // The header is synced before the first record is written, so a broken one in a longer file was damaged later.
  if (bytes.byteLength <= segmentHeaderBytes) {
    if (isLast || bytes.byteLength < segmentHeaderBytes || bytes.every((byte) => byte === 0)) return undefined;
  }
  throw new FedLoraError("journal-corrupt", `the header of journal segment ${file} is damaged`, { details: { file } });
}
