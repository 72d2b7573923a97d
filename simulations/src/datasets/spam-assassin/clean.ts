/**
 * Mailing lists stamp their mail: a tag in the subject and a footer below the text. A model that reads them learns which
 * list a mail came from instead of what it says, so both are removed.
 */

const subjectTag = /\[[A-Za-z][\w .-]{1,24}\]\s*/g;

/** Footers start with one of these lines; everything below is the list's, not the sender's. */
const footerStarts = [
  /^_{20,}\s*$/,
  /^-{5,}=?[-=]*\s*$/,
  /^-- ?$/,
  /^-{10,} ?Yahoo! Groups Sponsor/i,
  /^Irish Linux Users' Group/i,
  /^http:\/\/(xent\.com|lists\.freshrpms\.net|www\.linux\.ie)\/mailman\/listinfo/i,
  /^This sf\.net email is sponsored by/i,
  /^To unsubscribe from this (group|list)/i,
];

/** Feeds that were turned into mail carry these two lines on every item. */
const feedStamp = /^(URL: \S+|Date: (Not supplied|[\d-]+T\S+))\s*$/;

export function cleanSubject(subject: string): string {
  return subject.replace(subjectTag, "").replace(/\s+/g, " ").trim();
}

/** A footer is looked for in the last lines only, so that a signature dash early in a mail does not cut the mail. */
export function cleanBody(body: string): string {
  const lines = body
    .replace(/\r/g, "")
    .trimEnd()
    .split("\n")
    .filter((line) => !feedStamp.test(line));
  const from = Math.max(0, lines.length - 14);
  const footer = lines.findIndex(
    (line, index) => index >= from && index > 0 && footerStarts.some((start) => start.test(line)),
  );
  const kept = footer === -1 ? lines : lines.slice(0, footer);
  return kept.join("\n").replace(/\s+/g, " ").trim();
}
