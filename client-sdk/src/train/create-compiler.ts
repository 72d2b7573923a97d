import { compileInThread } from "../engine/compile-in-thread.js";
import { readWeightPlaces } from "../engine/weight-places.js";
import type { BaseModel } from "../models/base-model.js";
import type { Compile } from "./artifact-request.js";

/** Compiles graphs that read the model's canonical weights file. */
export function createCompiler(baseModel: BaseModel, outputFolder: string): Compile {
  return async (request) => {
    const weights = readWeightPlaces(await baseModel.weightsFile());
    return compileInThread({ request, weights, outputFolder });
  };
}
