import { FederatedClient, type Example } from "@fedlora/client-sdk";
import { readFileSync } from "node:fs";

const [coordinator = "127.0.0.1:8470", baseModel = "models/minilm", file = "mails.jsonl"] = process.argv.slice(2);
// Your data, one {"text": "...", "label": "spam"} per line. It never leaves this machine.
const lines = readFileSync(file, "utf8").trim().split("\n");
const mails = lines.map((line) => JSON.parse(line) as Example);
const client = new FederatedClient({
  coordinator,
  baseModel,
  stateFolder: "fedlora-state",
  data: { name: "inbox", train: () => mails, evaluation: () => mails },
});
const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
for await (const event of client.run(stop.signal)) {
  console.log(event.type === "progress" ? `round ${event.round}, step ${event.step}` : event.type);
}
const model = await client.model();
console.log(await model.classify(["You won a prize, click here", "The meeting is moved to three"]));
await client.close();
