import { createProgress } from "../demo/progress.js";
import type { RoundRow } from "./round-row.js";
import type { ScenarioProgress } from "./run-scenario.js";

/** Without a terminal a line now and then says that it goes on. */
const lineEveryMs = 10_000;

/** Progress on stderr: a bar per variant on a terminal, lines elsewhere. */
export function scenarioProgress(stream: NodeJS.WriteStream = process.stderr): ScenarioProgress {
  const bars = createProgress(stream);
  let lastMs = Number.NEGATIVE_INFINITY;
  const line = (text: string, isLast: boolean): void => {
    const now = performance.now();
    if (stream.isTTY || (now - lastMs < lineEveryMs && !isLast)) return;
    lastMs = now;
    bars.say(text);
  };
  return {
    say: (text) => bars.say(text),
    preparing: (share, text) => {
      bars.update("the decoder", share, text);
      line(`the decoder: ${text}`, share === 1);
    },
    round: (row, rounds) => {
      const text = describe(row, rounds);
      bars.update(row.variant, row.round / rounds, text);
      line(`${row.variant}: ${text}`, row.round === rounds);
    },
    end: () => bars.end(),
  };
}

function describe({ seed, round, test, trainLoss }: RoundRow, rounds: number): string {
  const accuracy = test?.accuracy === undefined ? "" : `, accuracy ${test.accuracy.toFixed(4)}`;
  const perplexity = test?.perplexity === undefined ? "" : `, perplexity ${test.perplexity.toFixed(2)}`;
  const loss = test?.loss ?? trainLoss;
  return `seed ${seed}, round ${round}/${rounds}${loss === undefined ? "" : `, loss ${loss.toFixed(4)}`}${accuracy}${perplexity}`;
}
