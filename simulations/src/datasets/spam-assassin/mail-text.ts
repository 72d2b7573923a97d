import { compile } from "html-to-text";
import PostalMime from "postal-mime";

/** What is kept of one message: nothing of the transport headers reaches a model. */
export interface MailText {
  readonly subject: string;
  readonly body: string;
  /** Short name, lower case, of the mailing list (`ilug`, `fork`) or the feed reader (`rssfeeds`), or undefined. */
  readonly list: string | undefined;
  /** Domain of the From address, lower case; empty when there is none. */
  readonly senderDomain: string;
}

/** Reads one raw message (RFC 5322 and MIME, with or without an mbox `From ` line). */
export async function readMail(raw: Uint8Array): Promise<MailText> {
  const mail = await PostalMime.parse(withoutMboxLine(raw));
  const address = mail.from?.address ?? "";
  const html = mail.html ?? "";
  const plain = mail.text ?? "";
  // Some senders mark HTML as plain text; tags would give the label away without a word being read.
  const body =
    plain.trim() !== "" && !/<(html|body|font|table|p|br)\b/i.test(plain)
      ? plain
      : htmlToText(html === "" ? plain : html);
  return {
    subject: mail.subject ?? "",
    body,
    list: listName(mail.headers) ?? feedReader(address),
    senderDomain: address.slice(address.lastIndexOf("@") + 1).toLowerCase(),
  };
}

function withoutMboxLine(raw: Uint8Array): Uint8Array {
  if (Buffer.from(raw.buffer, raw.byteOffset, 5).toString("latin1") !== "From ") return raw;
  return raw.subarray(raw.indexOf(10) + 1);
}

const htmlToText = compile({
  wordwrap: false,
  selectors: [
    { selector: "img", format: "skip" },
    { selector: "a", options: { ignoreHref: true } },
  ],
  limits: { maxInputLength: 200_000, maxDepth: 200 },
});

/**
 * From `List-Id: Irish Linux Users' Group <ilug.linux.ie>`, else from `X-BeenThere: list@host` or, at Yahoo! Groups,
 * `Mailing-List: list zzzzteana@yahoogroups.com; contact ...`.
 */
function listName(headers: readonly { key: string; value: string }[]): string | undefined {
  const value = (key: string): string | undefined => headers.find((header) => header.key === key)?.value;
  const id =
    /<([^<>]+)>/.exec(value("list-id") ?? "")?.[1] ??
    value("x-beenthere") ??
    /^list (\S+@\S+);/.exec(value("mailing-list") ?? "")?.[1];
  return id?.split(/[.@]/, 1)[0]?.trim().toLowerCase();
}

/** Items of news feeds came as mail from the program that turned them into mail. */
function feedReader(address: string): string | undefined {
  return address.toLowerCase().startsWith("rssfeeds@") ? "rssfeeds" : undefined;
}
