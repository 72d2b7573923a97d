/** Gives a tensor's values by its name. */
export type TensorReader = (name: string) => Float32Array;

/** Opens an encoded update; between its steps, of some milliseconds at most, other work may have its turn. */
export type Opening = Generator<undefined, TensorReader, undefined>;

/** An opening that takes no time. */
export function* openedAtOnce(reader: TensorReader): Opening {
  yield undefined;
  return reader;
}

export function openNow(opening: Opening): TensorReader {
  for (;;) {
    const { done, value } = opening.next();
    if (done === true) return value;
  }
}
