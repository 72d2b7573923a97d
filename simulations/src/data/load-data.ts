import type { DataSpec } from "../scenario/data-schema.js";
import { addressData } from "./addresses.js";
import { fileData } from "./file-data.js";
import { mailData } from "./mail.js";
import { mnistData } from "./mnist.js";
import type { SimulationData } from "./simulation-data.js";
import { syntheticData } from "./synthetic.js";

/** Reads a scenario's data set; `folder` is where relative paths begin. */
export function loadData(spec: DataSpec, folder: string): Promise<SimulationData> {
  switch (spec.kind) {
    case "synthetic":
      return Promise.resolve(syntheticData(spec));
    case "mnist":
      return mnistData();
    case "spam-assassin":
      return mailData();
    case "state-of-the-union":
      return addressData(spec.years);
    case "file":
      return fileData(spec, folder);
  }
}
