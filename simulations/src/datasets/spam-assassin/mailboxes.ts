import { createHash } from "node:crypto";
import { shuffledById, type Mail } from "./corpus.js";

export interface Mailbox {
  readonly name: string;
  readonly train: readonly Mail[];
  readonly heldOut: readonly Mail[];
}

/**
 * Which lists a member reads: ada talk, and the letters and newsletters that name no list; brendan Linux users' groups;
 * chen developers' lists; dana news. Ham and spam that came through a list lie with its reader.
 */
const readers: Readonly<Record<string, readonly string[]>> = {
  ada: ["fork", "irregulars", "board", "secprog", "bugtraq", "linux-secnews", "focus-virus"],
  brendan: ["ilug", "social", "webdev", "iiu", "crackmice"],
  chen: [
    ...["rpm-zzzlist", "exmh-users", "exmh-workers", "sitescooper-talk", "webmake-talk", "updates", "freebsd-ports"],
    ...["razor-users", "spamassassin-talk", "spamassassin-devel", "spamassassin-commits", "spamassassin-sightings"],
    ...["spambayes", "spamcon-tools", "freshmeat-news"],
  ],
  dana: ["rssfeeds", "zzzzteana"],
};

const readerOfTheRest = "ada";

export const mailboxNames: readonly string[] = Object.keys(readers);

/**
 * Four mailboxes, each with ham and spam, none like another: ham by mailing-list group, one group with what names no list;
 * spam that names no list by a hash of the sender's domain. `heldOut` mails are set aside from every mailbox in equal
 * number, with the mailbox's own share of spam; which ones depends on the seed alone.
 */
export function splitIntoMailboxes(
  mails: readonly Mail[],
  options: { readonly heldOut: number; readonly seed: number },
): Mailbox[] {
  const perBox = Math.floor(options.heldOut / mailboxNames.length);
  return mailboxNames.map((name) => {
    const own = shuffledById(
      mails.filter((mail) => mailboxOf(mail) === name),
      options.seed,
    );
    const spam = own.filter((mail) => mail.label === "spam");
    const ham = own.filter((mail) => mail.label === "ham");
    const spamHeldOut = Math.round((perBox * spam.length) / own.length);
    const heldOut = [...spam.slice(0, spamHeldOut), ...ham.slice(0, perBox - spamHeldOut)];
    const rest = [...spam.slice(spamHeldOut), ...ham.slice(perBox - spamHeldOut)];
    return { name, train: shuffledById(rest, options.seed + 1), heldOut: shuffledById(heldOut, options.seed + 1) };
  });
}

function mailboxOf(mail: Mail): string {
  const list = mail.list;
  const reader = list === undefined ? undefined : mailboxNames.find((name) => readers[name]?.includes(list));
  if (reader !== undefined) return reader;
  if (mail.label === "ham") return readerOfTheRest;
  const hash = createHash("sha256").update(mail.senderDomain).digest().readUInt32LE(0);
  return mailboxNames[hash % mailboxNames.length] ?? "ada";
}
