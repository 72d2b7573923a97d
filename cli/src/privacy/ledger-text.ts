import { existsSync } from "node:fs";
import { privacySpent, readPrivacyLedger, type DataSetPrivacy } from "@fedlora/client-sdk";
import { FedLoraError } from "@fedlora/core";
import { table } from "../output.js";
import { showBound } from "./plan-text.js";

export interface LedgerView {
  readonly delta: number;
  readonly dataSets: readonly DataSetPrivacy[];
}

/** @throws FedLoraError `file-missing` for a folder that is not there, `file-invalid` for a ledger that was changed */
export async function ledgerOf(stateFolder: string, delta: number): Promise<LedgerView> {
  if (!existsSync(stateFolder)) {
    throw new FedLoraError("file-missing", `state folder "${stateFolder}" does not exist`);
  }
  return { delta, dataSets: privacySpent(await readPrivacyLedger(stateFolder), delta) };
}

export function ledgerText({ delta, dataSets }: LedgerView): string {
  if (dataSets.length === 0) return "nothing has been released from this state folder";
  return dataSets
    .map(({ dataSet, bound, entries }) =>
      [
        `${dataSet}: epsilon ${showBound(bound.epsilon)} at delta ${delta} for one example`,
        table(
          ["time", "coordinator", "run", "round", "kind", "mode", "releases", "state"],
          entries.map((entry) => [
            new Date(entry.atMs).toISOString().slice(0, 16).replace("T", " "),
            entry.coordinator,
            entry.runId,
            entry.round,
            entry.kind,
            entry.mode,
            entry.events.map(({ mechanism, count }) => `${count} x ${mechanism.kind}`).join(", "),
            entry.state,
          ]),
        ),
      ].join("\n"),
    )
    .join("\n\n");
}
