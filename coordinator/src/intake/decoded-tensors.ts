import {
  fromFloat32,
  itemSize,
  type Opening,
  type SafetensorsEntry,
  type Tensor,
  type TensorLayout,
  type TensorReader,
  type UpdateCodec,
} from "@fedlora/core";
import { setImmediate as nextTurn } from "node:timers/promises";

export type Entries = ReadonlyMap<string, SafetensorsEntry>;

/** Reads what a tensor is decoded from, keeps it for as long as the next tensor needs it as well, and decodes. */
export function decodedTensors(
  codec: UpdateCodec,
  layout: TensorLayout,
  entries: Entries,
  readEntry: (name: string) => AsyncIterable<Uint8Array>,
): (name: string) => Promise<Tensor> {
  const shapes = new Map(layout.map(({ name, shape }) => [name, shape]));
  const decoder = codec.decoder(layout);
  let loaded = new Map<string, Uint8Array>();
  let reader: TensorReader | undefined;
  return async (name) => {
    const sources = new Map<string, Uint8Array>();
    for (const source of decoder.sources(name)) {
      sources.set(source, loaded.get(source) ?? (await readWhole(entries.get(source), readEntry(source))));
    }
    loaded = sources;
    await nextTurn();
    reader ??= await openInTurns(
      decoder.open((source, start, end) => {
        const size = itemSize[entries.get(source)?.dtype ?? "U8"];
        return loaded.get(source)?.subarray(start * size, end * size) ?? new Uint8Array(0);
      }),
    );
    return fromFloat32(reader(name), shapes.get(name) ?? []);
  };
}

/** Reading the places of many values takes longer than others should wait. */
async function openInTurns(opening: Opening): Promise<TensorReader> {
  for (;;) {
    const { done, value } = opening.next();
    if (done === true) return value;
    await nextTurn();
  }
}

async function readWhole(entry: SafetensorsEntry | undefined, slices: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const bytes = new Uint8Array(entry?.byteLength ?? 0);
  let at = 0;
  for await (const slice of slices) {
    bytes.set(slice, at);
    at += slice.byteLength;
  }
  return bytes;
}
