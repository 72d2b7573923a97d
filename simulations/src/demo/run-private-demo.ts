import { join, resolve } from "node:path";
import { FedLoraError } from "@fedlora/core";
import { mailboxNames } from "../datasets/spam-assassin/mailboxes.js";
import { score } from "../metrics/classification.js";
import type { FederationResult } from "./federation.js";
import { hashOfAdapter, predictWith, saveFinalAdapter } from "./final-adapter.js";
import { privateReportText, type PrivateDemoReport, type SpentPrivacy } from "./private-report.js";
import { privateLocalSteps, privateSpamRunSpec } from "./private-task.js";
import { heldOutOf } from "./reference-lines.js";
import { describeMailbox } from "./report.js";
import { defaultLocalSteps, spamLabels, spamRunSpec } from "./spam-task.js";
import { inWorkplace, type SpamDemoOptions } from "./workplace.js";

/**
 * What privacy costs: the demo's federation as it is, and once more with example-level differential privacy, on the same
 * split of the same mail. The held-out mail is measured here, outside of the federation: it is no part of what the run
 * releases.
 *
 * @param options `rounds` are those of both runs, `localSteps` too where given
 */
export async function runPrivateDemo(
  options: SpamDemoOptions,
): Promise<{ readonly report: PrivateDemoReport; readonly text: string }> {
  const begin = performance.now();
  const { rounds = 5, localSteps, seed } = options;
  const task = { members: mailboxNames.length, rounds, seed };
  const stepsPerRound = localSteps ?? privateLocalSteps;
  return inWorkplace(
    options,
    (modelHash) => ({
      plain: spamRunSpec({ ...task, modelHash, localSteps: localSteps ?? defaultLocalSteps }),
      private: privateSpamRunSpec({ ...task, modelHash, localSteps: stepsPerRound }),
    }),
    async (place) => {
      const { baseModel, mailboxes, specs, progress, workFolder } = place;
      const plainFolder = join(workFolder, "plain-adapter");
      const adapterFolder = resolve(options.adapterFolder);
      progress.say("First without privacy:");
      await place.federate(specs.plain, `fedlora demo ${seed}`, (federation) =>
        saveFinalAdapter(federation, baseModel, plainFolder),
      );
      progress.say("Then with privacy for every mail:");
      const spent = await place.federate(specs.private, `fedlora private demo ${seed}`, async (federation) => {
        await saveFinalAdapter(federation, baseModel, adapterFolder);
        return spentPrivacy(federation);
      });

      const truth = heldOutOf(mailboxes).map(({ label }) => spamLabels.indexOf(label));
      const line = (name: string, predicted: readonly number[]) => ({
        name,
        ...score(predicted, truth, spamLabels.indexOf("spam")),
      });
      const plain = line("federated", await predictWith({ ...place, adapterFolder: plainFolder }));
      const noised = line("federated, private", await predictWith({ ...place, adapterFolder }));
      const ham = spamLabels.indexOf("ham");
      const report: PrivateDemoReport = {
        seed,
        members: mailboxes.map(describeMailbox),
        rounds,
        stepsPerModel: rounds * stepsPerRound,
        plain,
        private: noised,
        allHam: line(
          "all called ham",
          truth.map(() => ham),
        ),
        loss: { accuracy: 100 * (plain.accuracy - noised.accuracy), f1: 100 * (plain.f1 - noised.f1) },
        spent,
        adapterFolder,
        adapterHash: await hashOfAdapter(adapterFolder),
        seconds: (performance.now() - begin) / 1000,
      };
      return { report, text: privateReportText(report) };
    },
  );
}

async function spentPrivacy({ admin, runId }: FederationResult): Promise<SpentPrivacy> {
  const report = await admin.privacy(runId);
  if (report.mode === "none") throw new FedLoraError("internal", `run ${runId} was created without privacy`);
  const { epsilonSpent, epsilonBudget = Infinity, delta, noiseMultiplier, clipNorm } = report.account;
  return { epsilon: epsilonSpent, budget: epsilonBudget, delta, noiseMultiplier, clipNorm };
}
