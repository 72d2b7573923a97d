import { canonicalJson, FedLoraError, sha256Hex } from "@fedlora/core";
import { syncFolder } from "@fedlora/core/node";
import { open, truncate } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readIfPresent } from "../client/durable-file.js";
import { type LedgerEntry, type LedgerRecord, ledgerRecordSchema, PrivacyLedger } from "./ledger.js";

const fileName = "privacy-ledger.jsonl";
/** Of the line before the first. */
const firstCheck = "fedlora-privacy-ledger/1";

interface Content {
  readonly records: readonly LedgerRecord[];
  /** Check of the last line. */
  readonly check: string;
  /** Bytes of whole lines; more is a line that a crash cut short. */
  readonly length: number;
}

/**
 * Opens the ledger of a state folder for the client that holds the folder. A line that a crash cut short is removed: what
 * it was to say had not happened yet.
 *
 * @throws FedLoraError `file-invalid` for a ledger that was damaged or changed; it is never begun anew by itself
 */
export async function openLedgerFile(stateFolder: string): Promise<PrivacyLedger> {
  const path = join(stateFolder, fileName);
  const bytes = await readIfPresent(path);
  const { records, check, length } = parse(bytes ?? new Uint8Array(), path);
  if (bytes !== undefined && bytes.byteLength > length) await truncate(path, length);
  let last = check;
  let isNew = bytes === undefined;
  const append = async (record: LedgerRecord): Promise<void> => {
    const next = checkOf(last, record);
    const file = await open(path, "a", 0o600);
    try {
      await file.appendFile(`${canonicalJson({ check: next, record })}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    if (isNew) await syncFolder(dirname(path));
    isNew = false;
    last = next;
  };
  return new PrivacyLedger({ append }, records);
}

/**
 * What a client has released about its data sets, from its state folder, also while the client runs; empty for a folder
 * without a ledger.
 *
 * @throws FedLoraError `file-invalid` for a ledger that was damaged or changed
 */
export async function readPrivacyLedger(stateFolder: string): Promise<readonly LedgerEntry[]> {
  const path = join(stateFolder, fileName);
  const { records } = parse((await readIfPresent(path)) ?? new Uint8Array(), path);
  return new PrivacyLedger(undefined, records).entries();
}

function parse(bytes: Uint8Array, path: string): Content {
  const length = bytes.lastIndexOf(0x0a) + 1;
  const lines = new TextDecoder().decode(bytes.subarray(0, length)).split("\n").slice(0, -1);
  const records: LedgerRecord[] = [];
  let check = firstCheck;
  for (const [index, line] of lines.entries()) {
    const record = parseLine(line, check);
    if (record === undefined) {
      throw new FedLoraError(
        "file-invalid",
        `the privacy ledger "${path}" was damaged or changed in line ${index + 1}; restore it from a backup`,
        { details: { line: String(index + 1) } },
      );
    }
    records.push(record);
    check = checkOf(check, record);
  }
  return { records, check, length };
}

function parseLine(line: string, previous: string): LedgerRecord | undefined {
  try {
    const { check, record } = JSON.parse(line) as { check?: unknown; record?: unknown };
    const parsed = ledgerRecordSchema.parse(record);
    return check === checkOf(previous, parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** Chains the lines, so that none can change, vanish or come in between unnoticed. */
function checkOf(previous: string, record: LedgerRecord): string {
  return sha256Hex(new TextEncoder().encode(`${previous}\n${canonicalJson(record)}`)).slice(0, 32);
}
