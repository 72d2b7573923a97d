import { FedLoraError } from "@fedlora/core";

/**
 * Records of comma-separated text (RFC 4180): cells in double quotes may hold commas, line breaks and doubled quotes.
 *
 * @throws FedLoraError `data-invalid` for a quote that is not closed
 */
export function parseCsv(content: string, where: string): string[][] {
  const records: string[][] = [];
  let record: string[] = [];
  let cell = "";
  let isQuoted = false;
  const text = content.endsWith("\n") || content === "" ? content : `${content}\n`;
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (isQuoted) {
      if (char !== '"') cell += char;
      else if (text[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else isQuoted = false;
    } else if (char === '"' && cell === "") isQuoted = true;
    else if (char === ",") {
      record.push(cell);
      cell = "";
    } else if (char === "\n") {
      record.push(cell.endsWith("\r") ? cell.slice(0, -1) : cell);
      if (record.length > 1 || record[0] !== "") records.push(record);
      record = [];
      cell = "";
    } else cell += char;
  }
  if (isQuoted) throw new FedLoraError("data-invalid", `${where}: a quote is not closed`);
  return records;
}
