import { FedLoraError } from "../errors.js";

const maxPatternLength = 1000;
const maxRepeats = 6;

/**
 * A regular expression in Python's syntax, as PEFT's configs hold it, compiled to match from the start of a module's
 * name to its end: `(?P<n>...)` and `(?P=n)` are translated, the rest is common to both languages.
 *
 * Patterns come from other machines, so what could take exponential time is refused: a repeated group that holds a
 * repetition or an alternative, and more than six repetitions.
 *
 * @param field for the message: where the pattern stands
 * @throws FedLoraError `spec-invalid`
 */
export function compileModulePattern(pattern: string, field: string): RegExp {
  const refuse = (why: string, cause?: unknown): never => {
    throw new FedLoraError("spec-invalid", `${field}: the pattern "${pattern.slice(0, 200)}" ${why}`, { cause });
  };
  if (pattern.length > maxPatternLength) refuse(`has ${pattern.length} characters, at most ${maxPatternLength}`);
  const danger = dangerOf(pattern);
  if (danger !== undefined) refuse(danger);
  try {
    return new RegExp(`^(?:${pattern.replaceAll("(?P<", "(?<").replaceAll(/\(\?P=(\w+)\)/g, "\\k<$1>")})$`);
  } catch (cause) {
    return refuse(`is not a regular expression: ${(cause as Error).message}`, cause);
  }
}

/** Walks the pattern's groups; escapes and character classes hold no structure. */
function dangerOf(pattern: string): string | undefined {
  const groups: { repeats: boolean; alternatives: boolean }[] = [{ repeats: false, alternatives: false }];
  const tokens = pattern.matchAll(/\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\??|\)|\||\*|\+|\{\d*,?\d*\}|\\[1-9]/gs);
  let closed: { repeats: boolean; alternatives: boolean } | undefined;
  let closedEnd = -1;
  let repeats = 0;
  for (const { 0: token, index } of tokens) {
    const top = groups.at(-1);
    if (top === undefined) return undefined;
    if (token.startsWith("(")) groups.push({ repeats: false, alternatives: false });
    else if (token === "|") top.alternatives = true;
    else if (token === ")") {
      groups.pop();
      closed = top;
      closedEnd = index + 1;
      const outer = groups.at(-1);
      if (outer !== undefined) {
        outer.repeats ||= top.repeats;
        outer.alternatives ||= top.alternatives;
      }
    } else if (token === "*" || token === "+" || (token.startsWith("{") && token !== "{1}" && token !== "{0,1}")) {
      if (index === closedEnd && closed !== undefined && (closed.repeats || closed.alternatives)) {
        return "repeats a group that holds a repetition or an alternative, which may take for ever";
      }
      top.repeats = true;
      repeats += 1;
    }
  }
  return repeats > maxRepeats ? `holds ${repeats} repetitions, at most ${maxRepeats} are taken` : undefined;
}
