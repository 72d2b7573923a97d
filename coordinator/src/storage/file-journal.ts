import { FedLoraError } from "@fedlora/core";

import type { FileSystem, OpenFile } from "./file-system.js";
import { readWholeFile } from "./file-system.js";
import type { OpenedJournal } from "./journal-recovery.js";
import type { Ownership } from "./ownership.js";
import { encodeRecord, maxPayloadBytes } from "./record.js";
import { encodeSegmentHeader, formatSegmentName, scanSegment, decodeSegmentHeader } from "./segment.js";
import { SnapshotFiles } from "./snapshot-files.js";
import type { Journal, JournalEvent, Snapshot, StoredEvent } from "./storage.js";

export interface FileJournalOptions {
  /** A segment is closed when it is larger than this, in bytes. */
  readonly segmentBytes: number;
  /** `trim` keeps at least the newest so many bytes of history, for the audit. */
  readonly retainBytes: number;
}

interface PendingAppend {
  readonly firstSequence: number;
  readonly payloads: readonly Uint8Array[];
  readonly resolve: (sequence: number) => void;
  readonly reject: (reason: unknown) => void;
}

interface KnownSegment {
  readonly name: string;
  readonly firstSequence: number;
  bytes: number;
}

/** The journal as segment files; see `segment.ts` for their form. Appends that arrive during a sync share the next one. */
export class FileJournal implements Journal {
  readonly epoch: number;
  readonly #fileSystem: FileSystem;
  readonly #folder: string;
  readonly #ownership: Ownership;
  readonly #options: FileJournalOptions;
  readonly #snapshots: SnapshotFiles;
  readonly #segments: KnownSegment[];
  #durable: number;
  #assigned: number;
  #chain: Uint8Array;
  #pending: PendingAppend[] = [];
  #flushing: Promise<void> | undefined;
  #active: { readonly file: OpenFile; readonly segment: KnownSegment } | undefined;
  #part = 0;
  #refusal: FedLoraError | undefined;

  constructor(
    fileSystem: FileSystem,
    folders: { readonly journal: string; readonly snapshots: string },
    ownership: Ownership,
    opened: OpenedJournal,
    options: FileJournalOptions,
  ) {
    this.#fileSystem = fileSystem;
    this.#folder = folders.journal;
    this.#ownership = ownership;
    this.#options = options;
    this.#snapshots = new SnapshotFiles(fileSystem, folders.snapshots, ownership.epoch);
    this.#segments = opened.segments.map((segment) => ({ ...segment }));
    this.#durable = opened.sequence;
    this.#assigned = opened.sequence;
    this.#chain = opened.chain;
    this.epoch = ownership.epoch;
  }

  get sequence(): number {
    return this.#durable;
  }

  append(expectedSequence: number, epoch: number, events: readonly JournalEvent[]): Promise<number> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
    if (epoch < this.epoch) {
      return Promise.reject(new FedLoraError("storage-fenced", `epoch ${epoch} is older than ${this.epoch}`));
    }
    if (expectedSequence !== this.#assigned) {
      const message = `expected sequence ${expectedSequence}, the journal is at ${this.#assigned}`;
      return Promise.reject(new FedLoraError("journal-sequence", message));
    }
    const payloads = events.map(encodePayload);
    const firstSequence = this.#assigned + 1;
    this.#assigned += events.length;
    return new Promise((resolve, reject) => {
      this.#pending.push({ firstSequence, payloads, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  async *read(after: number): AsyncIterable<StoredEvent> {
    const end = this.#durable;
    const segments = this.#segments.filter(({ firstSequence }) => firstSequence <= end);
    for (const [index, segment] of segments.entries()) {
      const next = segments[index + 1]?.firstSequence ?? end + 1;
      if (next <= after + 1 || next === segment.firstSequence) continue;
      const bytes = await readWholeFile(this.#fileSystem, `${this.#folder}/${segment.name}`);
      const header = decodeSegmentHeader(bytes);
      if (header === undefined) throw new FedLoraError("journal-corrupt", `the header of ${segment.name} is damaged`);
      for (const { record } of scanSegment(segment.name, bytes, header, next).records) {
        if (record.sequence <= after) continue;
        const event = JSON.parse(Buffer.from(record.payload).toString("utf8")) as JournalEvent;
        yield { sequence: record.sequence, epoch: record.epoch, event };
      }
    }
  }

  async trim(before: number): Promise<void> {
    // A segment may go when the next one starts at or before the first event that is still needed.
    let kept = this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
    for (;;) {
      const [oldest, next] = this.#segments;
      if (oldest === undefined || next === undefined || next.firstSequence > before + 1) return;
      if (kept - oldest.bytes < this.#options.retainBytes) return;
      await this.#fileSystem.remove(`${this.#folder}/${oldest.name}`);
      // Synced one by one: a power loss must not leave a hole between segments.
      await this.#fileSystem.syncFolder(this.#folder);
      kept -= oldest.bytes;
      this.#segments.shift();
    }
  }

  async writeSnapshot(name: string, snapshot: Snapshot): Promise<void> {
    await this.#ownership.assertHeld();
    await this.#snapshots.write(name, snapshot);
  }

  readSnapshot(name: string): Promise<Snapshot | undefined> {
    return this.#snapshots.read(name);
  }

  async close(): Promise<void> {
    this.#refusal ??= new FedLoraError("unavailable", "the journal is closed");
    await this.#flushing;
    await this.#active?.file.close();
    this.#active = undefined;
  }

  async #flush(): Promise<void> {
    while (this.#pending.length > 0) {
      const group = this.#pending;
      this.#pending = [];
      try {
        await this.#writeGroup(group);
      } catch (thrown) {
        await this.#abandon(FedLoraError.from(thrown), group);
      }
    }
    // In the same turn as the loop's last look at what is pending, or an append between the two would wait for ever.
    this.#flushing = undefined;
  }

  async #writeGroup(group: readonly PendingAppend[]): Promise<void> {
    const { file, segment } = await this.#activeSegment();
    const buffers: Uint8Array[] = [];
    let chain = this.#chain;
    let sequence = this.#durable;
    for (const payload of group.flatMap(({ payloads }) => payloads)) {
      sequence += 1;
      const record = { sequence, durableBefore: this.#durable, epoch: this.epoch, payload };
      const encoded = encodeRecord(chain, record);
      buffers.push(encoded.bytes);
      chain = encoded.chain;
    }
    if (buffers.length > 0) {
      await file.write(buffers, segment.bytes);
      await file.datasync();
    }
    // After the sync: see `takeOwnership` for why this order makes it safe.
    await this.#ownership.assertHeld();
    segment.bytes += buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
    this.#chain = chain;
    this.#durable = sequence;
    for (const { firstSequence, payloads, resolve } of group) resolve(firstSequence + payloads.length - 1);
  }

  async #activeSegment(): Promise<{ readonly file: OpenFile; readonly segment: KnownSegment }> {
    if (this.#active !== undefined && this.#active.segment.bytes < this.#options.segmentBytes) return this.#active;
    await this.#active?.file.close();
    this.#active = undefined;
    this.#part += 1;
    const firstSequence = this.#durable + 1;
    const name = formatSegmentName({ firstSequence, epoch: this.epoch, part: this.#part });
    const header = encodeSegmentHeader({ firstSequence, epoch: this.epoch, chain: this.#chain });
    const file = await this.#fileSystem.open(`${this.#folder}/${name}`, "write");
    try {
      await file.write([header], 0);
      await file.datasync();
      await this.#fileSystem.syncFolder(this.#folder);
    } catch (thrown) {
      await file.close();
      throw thrown;
    }
    const segment = { name, firstSequence, bytes: header.byteLength };
    this.#segments.push(segment);
    this.#active = { file, segment };
    return this.#active;
  }

  /**
   * After a failed write or sync nobody knows what the segment holds (a failed sync may even succeed when repeated), so it is
   * left behind and the next append starts another one, which hides whatever the old one has beyond the durable events.
   */
  async #abandon(error: FedLoraError, group: readonly PendingAppend[]): Promise<void> {
    const refused = [...group, ...this.#pending];
    this.#pending = [];
    this.#assigned = this.#durable;
    if (error.code === "storage-fenced") this.#refusal = error;
    const active = this.#active;
    this.#active = undefined;
    for (const { reject } of refused) reject(error);
    await active?.file.close().catch(() => undefined);
  }
}

function encodePayload(event: JournalEvent): Uint8Array {
  const payload = Buffer.from(JSON.stringify(event), "utf8");
  if (payload.byteLength <= maxPayloadBytes) return payload;
  const message = `journal event "${event.type}" has ${payload.byteLength} bytes, at most ${maxPayloadBytes} are allowed`;
  throw new FedLoraError("internal", message);
}
