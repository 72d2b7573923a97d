import { FedLoraError } from "../errors.js";
import type { ErrorCode } from "../errors.js";

/** A parsed JSON value; objects are Maps, so that no key can reach a prototype. */
export type StrictJson = null | boolean | number | string | StrictJson[] | Map<string, StrictJson>;

const maxDepth = 32;
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

/**
 * JSON as RFC 8259 has it, but a repeated key in an object is an error (`JSON.parse` silently keeps the last) and
 * nesting is limited to 32. For headers of files that strangers send.
 *
 * @throws FedLoraError with `code`, its message naming `what` and the offset in characters.
 */
export function parseStrictJson(source: string, what: string, code: ErrorCode): StrictJson {
  let at = 0;
  const fail = (problem: string): never => {
    throw new FedLoraError(code, `${what} is not strict JSON: ${problem} at character ${at}`);
  };
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(source)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const skipSpace = (): void => {
    while (at < source.length && isSpace(source.charCodeAt(at))) at += 1;
  };
  const accept = (character: string): boolean => {
    skipSpace();
    if (source[at] !== character) return false;
    at += 1;
    return true;
  };
  const expect = (character: string): void => {
    if (!accept(character)) fail(`expected "${character}"`);
  };
  const string = (): string => {
    skipSpace();
    const end = endOfString(source, at);
    if (end === -1) return fail("expected a string");
    try {
      const result = JSON.parse(source.slice(at, end)) as string;
      at = end;
      return result;
    } catch {
      return fail("bad character or escape in a string");
    }
  };
  const object = (depth: number): Map<string, StrictJson> => {
    const result = new Map<string, StrictJson>();
    if (accept("}")) return result;
    do {
      const key = string();
      if (result.has(key)) fail(`key ${JSON.stringify(key)} appears twice`);
      expect(":");
      result.set(key, value(depth));
    } while (accept(","));
    expect("}");
    return result;
  };
  const array = (depth: number): StrictJson[] => {
    const result: StrictJson[] = [];
    if (accept("]")) return result;
    do result.push(value(depth));
    while (accept(","));
    expect("]");
    return result;
  };
  const value = (depth: number): StrictJson => {
    if (depth > maxDepth) fail(`more than ${maxDepth} levels`);
    if (accept("{")) return object(depth + 1);
    if (accept("[")) return array(depth + 1);
    if (source[at] === '"') return string();
    for (const [word, meaning] of words) {
      if (source.startsWith(word, at)) {
        at += word.length;
        return meaning;
      }
    }
    return Number(take(number) ?? fail("expected a value"));
  };
  const result = value(0);
  skipSpace();
  if (at !== source.length) fail("unexpected text");
  return result;
}

/** Blank, tab, line feed, carriage return. */
function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d;
}

/** Offset behind the closing quote, or -1. By hand: a pattern would need stack in proportion to the string. */
function endOfString(source: string, start: number): number {
  if (source[start] !== '"') return -1;
  for (let at = start + 1; at < source.length; at += 1) {
    if (source[at] === "\\") at += 1;
    else if (source[at] === '"') return at + 1;
  }
  return -1;
}

const words: readonly (readonly [string, null | boolean])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
];
