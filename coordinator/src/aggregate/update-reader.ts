import type { UpdateView } from "@fedlora/aggregators";
import {
  assertUpdateLayout,
  FedLoraError,
  codecOf,
  itemSize,
  layoutsEqual,
  openNow,
  parseSafetensorsHeader,
  readHeaderLength,
  safetensorsPrefixBytes,
} from "@fedlora/core";
import type { SafetensorsHeader, TensorLayout, TensorReader, UpdateDecoder } from "@fedlora/core";
import type { UpdateFile } from "./aggregation.js";
import { ChunkReader } from "./chunk-reader.js";
import type { FileChunks } from "./file-chunks.js";

/** Distinct headers kept; updates of one plan share theirs, so one is the rule. */
const maxHeaders = 8;

/** A header as it was read and what it says. */
interface KnownHeader {
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly header: SafetensorsHeader;
}

/** What updates of one codec and layout have in common. */
interface Form {
  readonly codec: string;
  readonly layout: TensorLayout;
  /** Of the decoded tensors. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly encoded: TensorLayout;
  readonly decoder: UpdateDecoder;
  /** The header that was last held against `encoded`. */
  header: SafetensorsHeader | undefined;
}

interface OpenedUpdate {
  readonly header: SafetensorsHeader;
  readonly form: Form;
  readonly decoded: TensorReader;
}

/**
 * Reads stored updates tensor by tensor, one file open at a time, through the same buffers: memory depends on the largest
 * tensor and on what a decoder keeps to find its way, and nothing but small objects is left to the garbage collector.
 * What it reads first of all threads it hashes: see `ChunkReader`.
 */
export class UpdateReader {
  readonly #forms: Form[] = [];
  readonly #headers: KnownHeader[] = [];
  readonly #chunks = new ChunkReader();
  /** By update id: finding one's way in an encoded update may take a reading of all of it. */
  readonly #opened = new Map<string, OpenedUpdate>();
  #current: { readonly update: UpdateFile; readonly header: SafetensorsHeader } | undefined;

  /**
   * Opens an update for one visit.
   *
   * @throws FedLoraError `blob-not-found`, `safetensors-invalid`, `update-tensor-missing`, `update-tensor-unexpected`,
   *   `update-dtype`, `update-shape`, `tensor-invalid`, and from the view `update-tensor-missing`, `tensor-invalid`
   */
  visit(update: UpdateFile, chunks: FileChunks, visit: (view: UpdateView) => void): void {
    this.#chunks.open(update, chunks);
    try {
      const { form, decoded } = this.#open(update, chunks);
      const tensor = (name: string): Float32Array => {
        if (form.shapes.has(name)) return decoded(name);
        throw new FedLoraError("update-tensor-missing", `update "${update.id}" has no tensor "${name}"`, {
          details: { updateId: update.id, tensor: name },
        });
      };
      const shape = (name: string): readonly number[] | undefined => form.shapes.get(name);
      const { id, clientId, weight, numExamples, numSteps, staleness, receivedLoss } = update;
      visit({ id, clientId, weight, numExamples, numSteps, staleness, receivedLoss, shape, tensor });
    } finally {
      this.#current = undefined;
      this.#chunks.close();
    }
  }

  /**
   * Reads what no thread has read of a file, and compares all of it with its id.
   *
   * @throws FedLoraError `blob-not-found`, `blob-hash-mismatch`
   */
  verify(update: UpdateFile, chunks: FileChunks): void {
    this.#chunks.verify(update, chunks);
  }

  #form({ codec, layout }: UpdateFile): Form {
    const known = this.#forms.find(
      (form) => form.codec === codec && (form.layout === layout || layoutsEqual(form.layout, layout)),
    );
    if (known !== undefined) return known;
    const updateCodec = codecOf(codec);
    const form: Form = {
      codec,
      layout,
      shapes: new Map(layout.map(({ name, shape }) => [name, shape])),
      encoded: updateCodec.encodedLayout(layout),
      decoder: updateCodec.decoder(layout),
      header: undefined,
    };
    this.#forms.push(form);
    return form;
  }

  #open(update: UpdateFile, chunks: FileChunks): OpenedUpdate {
    const known = this.#opened.get(update.id);
    const header = known?.header ?? this.#header(chunks.size ?? 0);
    this.#current = { update, header };
    if (known !== undefined) return known;
    const form = this.#form(update);
    assertHeader(header, form, update);
    const opened = { header, form, decoded: openNow(form.decoder.open(this.#read)) };
    this.#opened.set(update.id, opened);
    return opened;
  }

  /** Elements of an encoded tensor of the update that is visited. */
  readonly #read = (name: string, start: number, end: number): Uint8Array => {
    const entry = this.#current?.header.tensors.get(name);
    if (this.#current === undefined || entry === undefined) {
      throw new FedLoraError("internal", `tensor "${name}" was read outside a visit`);
    }
    const size = itemSize[entry.dtype];
    return this.#chunks.read(entry.offset + start * size, entry.offset + end * size);
  };

  /** The files of a round have the same header; parsing it costs more than reading a module's tensors. */
  #header(size: number): SafetensorsHeader {
    const prefix = this.#chunks.read(0, Math.min(size, safetensorsPrefixBytes));
    const bytes = this.#chunks.read(0, safetensorsPrefixBytes + readHeaderLength(prefix, size));
    const known = this.#headers.find((other) => other.size === size && Buffer.compare(other.bytes, bytes) === 0);
    if (known !== undefined) return known.header;
    const header = parseSafetensorsHeader(bytes, size);
    if (this.#headers.length >= maxHeaders) this.#headers.shift();
    this.#headers.push({ size, bytes: bytes.slice(), header });
    return header;
  }
}

/** Files of one layout share their header, so this is compared once and not for every file. */
function assertHeader(header: SafetensorsHeader, form: Form, { id }: UpdateFile): void {
  if (form.header === header) return;
  try {
    assertUpdateLayout(form.encoded, header.tensors);
  } catch (thrown) {
    const { code, message, details } = FedLoraError.from(thrown);
    throw new FedLoraError(code, `"${id}": ${message}`, { details: { ...details, updateId: id }, cause: thrown });
  }
  form.header = header;
}
