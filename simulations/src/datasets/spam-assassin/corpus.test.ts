import { beforeAll, expect, test } from "vitest";
import { loadSpamAssassin, type Mail } from "./corpus.js";
import { splitIntoMailboxes, type Mailbox } from "./mailboxes.js";

let mails: readonly Mail[];
let mailboxes: Mailbox[];
beforeAll(async () => {
  ({ mails } = await loadSpamAssassin());
  mailboxes = splitIntoMailboxes(mails, { heldOut: 400, seed: 0 });
}, 180_000);

test("every mailbox holds ham and spam to train on and to be held out", () => {
  expect(mailboxes).toHaveLength(4);
  for (const { train, heldOut } of mailboxes) {
    for (const part of [train, heldOut])
      expect(new Set(part.map(({ label }) => label))).toEqual(new Set(["ham", "spam"]));
    expect(heldOut).toHaveLength(100);
  }
});

test("no mail is in two places", () => {
  const all = mailboxes.flatMap(({ train, heldOut }) => [...train, ...heldOut]);
  expect(new Set(all.map(({ id }) => id)).size).toBe(mails.length);
});

test("the split is non-IID: no two members read the same list", () => {
  const lists = mailboxes.map(
    ({ train }) => new Set(train.flatMap(({ list, label }) => (label === "ham" && list !== undefined ? [list] : []))),
  );
  const named = ["fork", "ilug", "rpm-zzzlist", "rssfeeds", "zzzzteana"];
  expect(named.map((list) => lists.findIndex((set) => set.has(list)))).toEqual([0, 1, 2, 3, 3]);
  expect(named.map((list) => lists.filter((set) => set.has(list)).length)).toEqual([1, 1, 1, 1, 1]);
});

test("another seed holds out other mails, the same seed the same", () => {
  const ids = (boxes: readonly Mailbox[]): string[] => boxes.flatMap(({ heldOut }) => heldOut.map(({ id }) => id));
  expect(ids(splitIntoMailboxes(mails, { heldOut: 400, seed: 0 }))).toEqual(ids(mailboxes));
  expect(ids(splitIntoMailboxes(mails, { heldOut: 400, seed: 1 }))).not.toEqual(ids(mailboxes));
});

test("texts carry no list tag, footer or feed stamp", () => {
  const stamped = mails.filter(
    ({ text }) => /^\[(ILUG|SAtalk|Razor-users)\]/i.test(text) || text.includes("Date: Not supplied"),
  );
  expect(stamped.map(({ id }) => id)).toEqual([]);
});
