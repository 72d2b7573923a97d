import { readSafetensors, toStateDict, writeSafetensors, type StateDict } from "@fedlora/core";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What one virtual client keeps of a run from round to round. */
export interface KeptTensors {
  readonly trained: StateDict;
  readonly round: number;
  readonly optimizer: StateDict | undefined;
  readonly residual: StateDict | undefined;
}

const parts = ["trained", "optimizer", "residual"] as const;
const separator = "/";

/**
 * What clients keep, by their numbers: the latest in memory up to a bound, the others in files of the simulation's folder.
 * Files are read and written at once, since time stands still meanwhile in any case and order is what counts.
 */
export class KeptStore {
  readonly #folder: string;
  readonly #maxBytes: number;
  readonly #recent = new Map<number, { readonly kept: KeptTensors; readonly bytes: number }>();
  readonly #filed = new Set<number>();
  #bytes = 0;

  constructor(folder: string, maxBytes = 64 * 1024 * 1024) {
    this.#folder = folder;
    this.#maxBytes = maxBytes;
    mkdirSync(folder, { recursive: true });
  }

  /** Bytes of tensors in memory. */
  get memoryBytes(): number {
    return this.#bytes;
  }

  get(client: number): KeptTensors | undefined {
    const recent = this.#recent.get(client);
    if (recent !== undefined) return recent.kept;
    return this.#filed.has(client) ? decode(Uint8Array.from(readFileSync(this.#path(client)))) : undefined;
  }

  set(client: number, kept: KeptTensors): void {
    this.#forget(client);
    const bytes = parts.reduce((sum, part) => sum + bytesOf(kept[part]), 0);
    this.#recent.set(client, { kept, bytes });
    this.#bytes += bytes;
    for (const [oldest, entry] of this.#recent) {
      if (this.#bytes <= this.#maxBytes) return;
      writeFileSync(this.#path(oldest), encode(entry.kept));
      this.#filed.add(oldest);
      this.#forget(oldest);
    }
  }

  #forget(client: number): void {
    this.#bytes -= this.#recent.get(client)?.bytes ?? 0;
    this.#recent.delete(client);
  }

  #path(client: number): string {
    return join(this.#folder, `client-${client}.safetensors`);
  }
}

function bytesOf(tensors: StateDict | undefined): number {
  return [...(tensors ?? [])].reduce((sum, [, { bytes }]) => sum + bytes.byteLength, 0);
}

function encode(kept: KeptTensors): Uint8Array {
  const entries = parts.flatMap((part) =>
    [...(kept[part] ?? [])].map(([name, tensor]) => [`${part}${separator}${name}`, tensor] as const),
  );
  const present = parts.filter((part) => kept[part] !== undefined).join(" ");
  return writeSafetensors(toStateDict(entries), { metadata: { round: String(kept.round), parts: present } });
}

function decode(bytes: Uint8Array): KeptTensors {
  const { tensors, metadata } = readSafetensors(bytes);
  const present = (metadata.get("parts") ?? "").split(" ");
  const part = (name: (typeof parts)[number]): StateDict | undefined => {
    if (!present.includes(name)) return undefined;
    const prefix = `${name}${separator}`;
    return new Map(
      [...tensors].flatMap(([key, tensor]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), tensor]] : [])),
    );
  };
  return {
    trained: part("trained") ?? new Map(),
    round: Number(metadata.get("round")),
    optimizer: part("optimizer"),
    residual: part("residual"),
  };
}
