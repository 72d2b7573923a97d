/**
 * Every bound of the v1 protocol, in one place. Both sides enforce them: what is beyond one is refused with
 * `request-invalid` before it is used.
 */
export const protocolVersion = 1;

const kib = 1024;
const mib = 1024 * kib;

export const limits = {
  /** Bytes of every chunk but a blob's last. */
  chunkBytes: 256 * kib,
  /** Longest message that carries a chunk: the chunk and room for its fields. */
  dataMessageBytes: 256 * kib + 16 * kib,
  /** Longest message of every other method; RegisterModel and the lists of Admin are data methods. */
  controlMessageBytes: 64 * kib,
  /** Longest encoded round plan. */
  planBytes: 16 * kib,
  /** HTTP/2 flow-control window of a stream and of a connection, both directions. */
  windowBytes: 8 * mib,
  /** Concurrent calls on one connection. */
  streamsPerConnection: 8,
  /** Largest blob, 16 GiB: sizes stay exact in a double and chunk tables small. */
  blobBytes: 16 * 1024 * mib,
  /** A model manifest as JSON. */
  manifestChars: 256 * kib,
  /** A run spec as JSON. */
  specChars: 48 * kib,
  /** An event, ledger or export configuration as JSON. */
  jsonChars: 48 * kib,
  /** Rounds in one answer of GetRun, runs in one of ListRuns. */
  listEntries: 200,
  /** Client names, run names, engine names, fingerprints, stages. */
  nameChars: 128,
  /** Reasons and messages for people. */
  textChars: 512,
  errorMessageChars: 1024,
  errorDetailEntries: 16,
  errorDetailChars: 256,
  keyChars: 64,
  /** Entries of `measurements` and `method_metrics`. */
  mapEntries: 64,
  /** Directives, codecs. */
  wordEntries: 64,
  /** Base models that one client names. */
  baseModels: 256,
  /** Frozen blobs of one plan. */
  frozenBlobs: 64,
  /** Base deltas of one plan; longer chains are joined. */
  baseDeltas: 64,
  /** Cells of a confusion matrix: 64 labels. More are left out by the client. */
  confusionCells: 4096,
  /** Longest duration that travels: 30 days. */
  durationMs: 30 * 24 * 3_600_000,
  /** Longest long poll. */
  pollWaitMs: 120_000,
} as const;
