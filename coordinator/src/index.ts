export { loadCoordinatorKey } from "./storage/coordinator-key.js";
export { openFileStorage } from "./storage/file-storage.js";
export type { FileStorage, FileStorageOptions } from "./storage/file-storage.js";
export type { FileSystem, OpenFile } from "./storage/file-system.js";
export { MemoryMedium, openMemoryStorage } from "./storage/memory-storage.js";
export type {
  BlobStore,
  Journal,
  JournalEvent,
  PartialBlob,
  Snapshot,
  Storage,
  StoredEvent,
} from "./storage/storage.js";
export { aggregateRound } from "./aggregate/aggregate-round.js";
export type {
  AggregationJob,
  AggregationOutcome,
  AggregationRunner,
  BlobFile,
  UpdateFile,
} from "./aggregate/aggregation.js";
export { AggregationPool } from "./aggregate/pool.js";
export type { AggregationPoolOptions } from "./aggregate/pool.js";
