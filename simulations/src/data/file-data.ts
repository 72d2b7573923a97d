import { FedLoraError, suggestion } from "@fedlora/core";
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import type { DataSpec } from "../scenario/data-schema.js";
import { parseCsv } from "./csv.js";
import { textData, type SimulationData, type TextRow } from "./simulation-data.js";

type FileSpec = Extract<DataSpec, { kind: "file" }>;
type Columns = Readonly<Record<string, string>>;

/**
 * Texts of a local file. Every column but text and label is a key.
 *
 * @param folder where a relative path begins
 * @throws FedLoraError `file-missing`, `data-invalid` naming the line, `scenario-invalid` for a column that is not there
 */
export async function fileData(spec: FileSpec, folder: string): Promise<SimulationData> {
  const path = resolve(folder, spec.path);
  const content = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new FedLoraError("file-missing", `data.path: cannot read "${path}"`, { cause });
  });
  const records = path.endsWith(".csv") ? csvRecords(content, path) : jsonRecords(content, path);
  for (const field of ["text", "label", "key"] as const) assertColumn(field, spec[field], records);
  const rows = records.map(({ columns, where }): TextRow => {
    const text = columns[spec.text];
    const label = spec.label === undefined ? undefined : columns[spec.label];
    if (text === undefined || (spec.label !== undefined && label === undefined)) {
      const missing = text === undefined ? spec.text : spec.label;
      throw new FedLoraError("data-invalid", `${where} has no "${missing ?? ""}"`);
    }
    const keys = Object.fromEntries(
      Object.entries(columns).filter(([name]) => name !== spec.text && name !== spec.label),
    );
    return { text, label, keys };
  });
  const info = { name: basename(path), source: path, licence: "the owner's" };
  return textData(info, rows, { defaultKey: spec.key });
}

interface FileRecord {
  readonly columns: Columns;
  readonly where: string;
}

function jsonRecords(content: string, path: string): FileRecord[] {
  return content.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const where = `${path}:${index + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new FedLoraError("data-invalid", `${where} is not JSON`, { cause });
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new FedLoraError("data-invalid", `${where} must be a JSON object`);
    }
    const plain = Object.entries(value).filter(([, item]) => ["string", "number", "boolean"].includes(typeof item));
    return [{ columns: Object.fromEntries(plain.map(([name, item]) => [name, String(item)])), where }];
  });
}

function csvRecords(content: string, path: string): FileRecord[] {
  const [header = [], ...lines] = parseCsv(content, path);
  return lines.map((cells, index) => {
    const where = `${path}: record ${index + 1}`;
    if (cells.length !== header.length) {
      throw new FedLoraError("data-invalid", `${where} has ${cells.length} cells, the header ${header.length}`);
    }
    return { columns: Object.fromEntries(header.map((name, column) => [name, cells[column] ?? ""])), where };
  });
}

function assertColumn(field: string, name: string | undefined, records: readonly FileRecord[]): void {
  if (name === undefined || records.length === 0) return;
  if (records.some(({ columns }) => Object.hasOwn(columns, name))) return;
  const known = [...new Set(records.flatMap(({ columns }) => Object.keys(columns)))].sort();
  const message = `data.${field}: no record has a column "${name}"; columns are ${known.join(", ")}${suggestion(name, known)}`;
  throw new FedLoraError("scenario-invalid", message, { details: { path: `data.${field}` } });
}
