import { expect, test } from "vitest";
import { readMail } from "./mail-text.js";

const mail = (text: string): Uint8Array => Buffer.from(text.replace(/\n/g, "\r\n"), "latin1");

test("subject, body, list and sender of a plain mail; nothing of the transport headers", async () => {
  const text = await readMail(
    mail(
      'From ilug-admin@linux.ie  Tue Aug  6 11:51:02 2002\nReceived: from a by b\nFrom: "X" <x@Hot.Example.com>\nSubject: =?iso-8859-1?q?caf=E9?=\nList-Id: Irish Linux Users\' Group <ilug.linux.ie>\n\nHello.\n',
    ),
  );
  expect(text).toEqual({ subject: "café", body: "Hello.\n", list: "ilug", senderDomain: "hot.example.com" });
});

test("quoted-printable HTML becomes its words, without tags, links or styles", async () => {
  const html =
    '<html><style>p {color: red}</style><p>Buy =\nnow at <a href=3D"http://x.example">this shop</a></p></html>';
  const text = await readMail(
    mail(`From: a@b.example\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n${html}`),
  );
  expect(text.body).toBe("Buy now at this shop");
});

test("HTML that calls itself plain text is read as HTML", async () => {
  const text = await readMail(
    mail("From: a@b.example\nContent-Type: text/plain\n\n<HTML><FONT SIZE=2>Mortgage rates</FONT></HTML>"),
  );
  expect(text.body).toBe("Mortgage rates");
});

test.each([
  ["Mailing-List: list zzzzteana@yahoogroups.com; contact a@yahoogroups.com", "a@b.example", "zzzzteana"],
  ["X-BeenThere: Exmh-Users@example.com", "a@b.example", "exmh-users"],
  ["Subject: news", "rssfeeds@b.example", "rssfeeds"],
  ["Mailing-List: contact help@lists.example; run by ezmlm", "a@b.example", undefined],
])("the list of a mail with %s from %s is %s", async (header, from, list) => {
  expect((await readMail(mail(`From: ${from}\n${header}\n\nHello.`))).list).toBe(list);
});
