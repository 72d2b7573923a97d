import type { DataSource, Example } from "@fedlora/client-sdk";
import type { SimulationData } from "../data/simulation-data.js";

/** The rows of a data set that a virtual client holds; `labelOf` is what it believes of them. */
export class ClientData implements DataSource {
  readonly name: string;
  readonly trainRows: Int32Array;
  readonly heldOutRows: Int32Array;
  readonly #data: SimulationData;
  /** Label of an example for another one, where somebody lies; undefined: as they are. */
  readonly relabel: ((label: number) => number) | undefined;
  readonly evaluation?: () => Iterable<Example>;

  constructor(
    name: string,
    data: SimulationData,
    parts: {
      readonly trainRows: Int32Array;
      readonly heldOutRows: Int32Array;
      readonly relabel?: ((label: number) => number) | undefined;
    },
  ) {
    this.name = name;
    this.#data = data;
    this.trainRows = parts.trainRows;
    this.heldOutRows = parts.heldOutRows;
    this.relabel = parts.relabel;
    if (parts.heldOutRows.length > 0) this.evaluation = () => this.#examples(this.heldOutRows, undefined);
  }

  train(): Iterable<Example> {
    return this.#examples(this.trainRows, this.relabel);
  }

  labelsOf(rows: Int32Array): Int32Array {
    const { relabel } = this;
    const labels = rows.map((row) => this.#data.labelOf(row));
    return relabel === undefined ? labels : labels.map(relabel);
  }

  *#examples(rows: Int32Array, relabel: ((label: number) => number) | undefined): Generator<Example> {
    for (const row of rows) {
      const example = this.#data.exampleOf(row);
      yield relabel === undefined || !("label" in example)
        ? example
        : { ...example, label: relabel(this.#data.labelOf(row)) };
    }
  }
}

/** How many of a client's examples are set aside: at least one where a share is asked for, but never all. */
export function heldOutCount(rows: number, share: number): number {
  return share === 0 ? 0 : Math.min(rows - 1, Math.max(1, Math.round(rows * share)));
}
