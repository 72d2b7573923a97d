import { Command } from "commander";
import { wholeNumber } from "./shared.js";

/** `fedlora demo-data`: the demo's mailboxes as files, for members on other machines or in containers. */
export function demoDataCommand(): Command {
  return new Command("demo-data")
    .description("write the demo's mailboxes: a folder each with train.jsonl and held-out.jsonl")
    .requiredOption("-o, --out <folder>", "folder for the mailboxes")
    .option("--seed <n>", "seed of the split", wholeNumber("--seed", 0, 2 ** 32 - 1), 0)
    .action(async (options: { out: string; seed: number }) => {
      const { heldOutMails, loadSpamAssassin, splitIntoMailboxes, writeMailboxes } =
        await import("@fedlora/simulations");
      const { mails } = await loadSpamAssassin();
      const mailboxes = splitIntoMailboxes(mails, { heldOut: heldOutMails, seed: options.seed });
      await writeMailboxes(mailboxes, options.out);
      for (const { name, train, heldOut } of mailboxes) {
        process.stdout.write(`${options.out}/${name}: ${train.length} mails to train on, ${heldOut.length} held out\n`);
      }
    });
}
