import { MultiBar, Presets, type SingleBar } from "cli-progress";

/** Live progress on stderr: bars on a terminal, one line per event elsewhere. */
export interface DemoProgress {
  say(text: string): void;
  /** A participant's state: `share` in 0..1, `text` what it does. */
  update(name: string, share: number, text: string): void;
  /** Ends the bars, so that plain text can follow. */
  end(): void;
}

export function createProgress(stream: NodeJS.WriteStream = process.stderr): DemoProgress {
  return stream.isTTY ? new BarProgress(stream) : new LineProgress(stream);
}

class BarProgress implements DemoProgress {
  readonly #bars: MultiBar;
  readonly #byName = new Map<string, SingleBar>();

  constructor(stream: NodeJS.WriteStream) {
    const format = "  {name} {bar} {text}";
    this.#bars = new MultiBar(
      { stream, format, hideCursor: true, fps: 8, barsize: 24, linewrap: false },
      Presets.shades_classic,
    );
  }

  say(text: string): void {
    // cli-progress prints above the bars only whole lines.
    this.#bars.log(`${text}\n`);
    this.#bars.update();
  }

  update(name: string, share: number, text: string): void {
    const payload = { name: name.padEnd(12), text };
    const bar = this.#byName.get(name);
    if (bar === undefined) this.#byName.set(name, this.#bars.create(1000, Math.round(share * 1000), payload));
    else bar.update(Math.round(share * 1000), payload);
  }

  end(): void {
    this.#bars.stop();
    this.#byName.clear();
  }
}

class LineProgress implements DemoProgress {
  readonly #stream: NodeJS.WriteStream;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  say(text: string): void {
    this.#stream.write(`${text}\n`);
  }

  update(): void {
    // Without a terminal only what `say` reports is worth a line.
  }

  end(): void {
    // Nothing to clear.
  }
}
