import { resolve } from "node:path";
import { mailboxNames, type Mailbox } from "../datasets/spam-assassin/mailboxes.js";
import { pairedBootstrap, score } from "../metrics/classification.js";
import { hashOfAdapter, saveFinalAdapter, useAdapter, type UsedAdapter } from "./final-adapter.js";
import { heldOutOf, measureReferences, type ReferencePredictions } from "./reference-lines.js";
import { describeMailbox, reportText, roundLines, type DemoReport } from "./report.js";
import { defaultLocalSteps, spamLabels, spamRunSpec, uniformStream } from "./spam-task.js";
import { inWorkplace, type SpamDemoOptions } from "./workplace.js";

/**
 * The demo from start to finish: honest mailboxes, a federation of processes, reference lines, an adapter that PEFT loads.
 * Everything temporary is removed, every process ended, whatever happens.
 */
export async function runSpamDemo(
  options: SpamDemoOptions,
): Promise<{ readonly report: DemoReport; readonly text: string }> {
  const begin = performance.now();
  const { rounds = 5, localSteps = defaultLocalSteps, seed } = options;
  const task = { members: mailboxNames.length, rounds, localSteps, seed };
  return inWorkplace(
    options,
    (modelHash) => ({ spec: spamRunSpec({ ...task, modelHash }) }),
    async (place) => {
      const { baseModel, mailboxes, progress } = place;
      const { spec } = place.specs;
      const adapterFolder = resolve(options.adapterFolder);
      const detail = await place.federate(spec, `fedlora demo ${seed}`, async (federation) => {
        await saveFinalAdapter(federation, baseModel, adapterFolder);
        return federation.detail;
      });

      progress.say("The same training without a federation, for comparison:");
      const measured = { ...place, spec };
      const [references, used] = [measureReferences(measured), useAdapter({ ...measured, adapterFolder })];
      // Every engine is closed before the work folder goes, also after a failure.
      await Promise.allSettled([references, used]);
      progress.end();
      const report: DemoReport = {
        seed,
        members: mailboxes.map(describeMailbox),
        rounds: roundLines(detail),
        ...compare(await used, await references, mailboxes, seed),
        stepsPerModel: rounds * localSteps,
        adapterFolder,
        adapterHash: await hashOfAdapter(adapterFolder),
        mails: (await used).mails,
        seconds: (performance.now() - begin) / 1000,
      };
      return { report, text: reportText(report) };
    },
  );
}

function compare(
  { federated, untrained }: UsedAdapter,
  references: ReferencePredictions,
  mailboxes: readonly Mailbox[],
  seed: number,
): Pick<DemoReport, "federated" | "references" | "gainOverMean" | "winProbability"> {
  const truth = heldOutOf(mailboxes).map(({ label }) => spamLabels.indexOf(label));
  const positive = spamLabels.indexOf("spam");
  const line = (name: string, predicted: readonly number[]) => ({ name, ...score(predicted, truth, positive) });
  const alone = references.alone.map(({ name, predicted }) => ({ ...line(`${name} alone`, predicted), predicted }));
  const meanF1 = alone.reduce((sum, { f1 }) => sum + f1, 0) / alone.length;
  const best = alone.reduce((a, b) => (b.f1 > a.f1 ? b : a));
  const fed = line("federated", federated);
  return {
    federated: fed,
    references: [
      line("untrained head", untrained),
      ...alone.map(({ name, accuracy, f1 }) => ({ name, accuracy, f1 })),
      line("all mail pooled", references.pooled),
    ],
    gainOverMean: 100 * (fed.f1 - meanF1),
    winProbability: pairedBootstrap(federated, best.predicted, truth, positive, uniformStream(seed)),
  };
}
