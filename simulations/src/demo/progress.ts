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
  readonly #stream: NodeJS.WriteStream;
  readonly #byName = new Map<string, SingleBar>();
  #bars: MultiBar | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  say(text: string): void {
    if (this.#bars === undefined) this.#stream.write(`${text}\n`);
    // cli-progress prints above the bars only whole lines.
    else this.#bars.log(`${text}\n`);
  }

  update(name: string, share: number, text: string): void {
    this.#bars ??= this.#create();
    const payload = { name: name.padEnd(14), text };
    const bar = this.#byName.get(name);
    if (bar === undefined) this.#byName.set(name, this.#bars.create(1000, Math.round(share * 1000), payload));
    else bar.update(Math.round(share * 1000), payload);
  }

  end(): void {
    this.#bars?.stop();
    this.#bars = undefined;
    this.#byName.clear();
  }

  #create(): MultiBar {
    const format = "  {name} {bar} {text}";
    const options = { stream: this.#stream, format, hideCursor: true, fps: 8, barsize: 24, linewrap: false };
    return new MultiBar(options, Presets.shades_classic);
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
