import { formatTable } from "@fedlora/core";
import type { RunDetail } from "@fedlora/proto";
import type { Mailbox } from "../datasets/spam-assassin/mailboxes.js";

export interface ReferenceLine {
  readonly name: string;
  readonly accuracy: number;
  readonly f1: number;
}

export interface RoundLine {
  readonly round: number;
  readonly accuracy: number;
  readonly f1: number;
  readonly loss: number;
  readonly bytesUpPerClient: number;
  readonly bytesDownPerClient: number;
  readonly seconds: number;
}

export interface ClassifiedMail {
  readonly text: string;
  readonly label: string;
  readonly score: number;
}

export interface DemoReport {
  readonly seed: number;
  readonly members: readonly { readonly name: string; readonly mails: number; readonly spam: number }[];
  readonly rounds: readonly RoundLine[];
  readonly federated: ReferenceLine;
  readonly references: readonly ReferenceLine[];
  /** F1 of the federation less the mean of the members alone, in points. */
  readonly gainOverMean: number;
  /** Paired bootstrap: probability that the federation beats the best member alone. */
  readonly winProbability: number;
  readonly stepsPerModel: number;
  readonly adapterFolder: string;
  /** SHA-256 of its adapter_model.safetensors: the same for the same seed and engine. */
  readonly adapterHash: string;
  readonly mails: readonly ClassifiedMail[];
  readonly seconds: number;
}

export function describeMailbox({ name, train }: Mailbox): DemoReport["members"][number] {
  return { name, mails: train.length, spam: train.filter(({ label }) => label === "spam").length };
}

export function roundLines(detail: RunDetail): RoundLine[] {
  return detail.rounds.map((round) => ({
    round: round.round,
    accuracy: round.evaluation?.accuracy ?? Number.NaN,
    f1: round.evaluation?.f1 ?? Number.NaN,
    loss: round.evaluation?.loss ?? Number.NaN,
    bytesUpPerClient: round.bytesUp / Math.max(1, round.planned),
    bytesDownPerClient: round.bytesDown / Math.max(1, round.planned),
    seconds: round.durationMs / 1000,
  }));
}

/** Of the tables, in spaces. */
const indent = 2;

/** The report as a person reads it. */
export function reportText(report: DemoReport): string {
  const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(0)} kB`;
  const rows = report.rounds.map((line) => [
    String(line.round),
    line.accuracy.toFixed(4),
    line.f1.toFixed(4),
    line.loss.toFixed(4),
    kilobytes(line.bytesUpPerClient),
    kilobytes(line.bytesDownPerClient),
    line.seconds.toFixed(1),
  ]);
  const references = [report.federated, ...report.references].map((line) => [
    line.name,
    line.accuracy.toFixed(4),
    line.f1.toFixed(4),
  ]);
  const mails = report.mails.map(({ text, label, score }) => [
    label,
    `${(100 * score).toFixed(1)} %`,
    shortened(text, 76),
  ]);
  return [
    "",
    "The federation, round by round (held-out mail of all members):",
    formatTable(["round", "accuracy", "F1 spam", "loss", "up/client", "down/client", "seconds"], rows, {
      align: Array.from({ length: 7 }, () => "right"),
      indent,
    }),
    "",
    `The same held-out mail, ${report.stepsPerModel} training steps each:`,
    formatTable(["", "accuracy", "F1 spam"], references, { align: ["left", "right", "right"], indent }),
    "",
    verdict(report),
    "",
    `Adapter: ${report.adapterFolder} (loads in Hugging Face PEFT)`,
    `SHA-256 of adapter_model.safetensors: ${report.adapterHash}`,
    "Three mails, classified with it:",
    formatTable(["label", "score", "mail"], mails, { align: ["left", "right"], indent }),
    "",
    `${report.seconds.toFixed(0)} s in all`,
  ].join("\n");
}

function verdict({ gainOverMean, winProbability }: DemoReport): string {
  const gain = `The federation is ${Math.abs(gainOverMean).toFixed(1)} F1 points ${gainOverMean >= 0 ? "above" : "below"} the mean of its members alone`;
  const odds = `${(100 * winProbability).toFixed(1)} % sure by paired bootstrap`;
  return `${gain};\nthat it beats the best of them is ${odds}${winProbability >= 0.95 ? "." : ", which is not enough to call it better."}`;
}

function shortened(text: string, length: number): string {
  const line = text.replace(/\s+/g, " ");
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`;
}
