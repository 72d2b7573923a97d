import { FederatedClient, type Example } from "@fedlora/client-sdk";
import { readFile } from "node:fs/promises";

/** Your data: anything that can be read example by example. It never leaves this machine. */
async function* readMails(file: string): AsyncGenerator<Example> {
  for (const line of (await readFile(file, "utf8")).split("\n")) {
    if (line !== "") yield JSON.parse(line) as Example; // {"text": "...", "label": "spam"}
  }
}

const [coordinator = "127.0.0.1:8470", baseModel = "models/all-MiniLM-L6-v2", mails = "mails.jsonl"] =
  process.argv.slice(2);
const client = new FederatedClient({
  coordinator,
  baseModel,
  stateFolder: "fedlora-state",
  data: { name: "inbox", train: () => readMails(mails), evaluation: () => readMails(mails) },
  policy: { maxUploadBytes: 50e6, canTrain: (plan) => plan.method.name === "fedavg" || "only plain averaging" },
});
const stop = new AbortController();
process.once("SIGINT", () => stop.abort());

for await (const event of client.run(stop.signal)) {
  if (event.type === "progress") console.log(`round ${event.round}: step ${event.step} of ${event.totalSteps}`);
  else console.log(event.type);
}

const model = await client.model();
console.log(await model.classify(["You won a prize, click here", "The meeting is moved to three"]));
await client.close();
