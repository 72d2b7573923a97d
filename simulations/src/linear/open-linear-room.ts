import type { ModelManifest } from "@fedlora/core";
import type { SimulationData } from "../data/simulation-data.js";
import { TrainerRoom, type RoomWorker } from "../runtime/trainer-room.js";
import { LinearTrainer } from "./linear-trainer.js";
import { linearIdentity } from "./linear-identity.js";
import { startLinearThread } from "./linear-thread.js";

/** Trainers of the linear model: one in this thread, or each in a thread of its own. */
export async function openLinearRoom(
  data: SimulationData,
  manifest: ModelManifest,
  workers: number,
): Promise<TrainerRoom> {
  const { features } = data;
  if (features === undefined) throw new Error("the linear model learns from numbers");
  if (workers === 0)
    return new TrainerRoom([{ trainer: new LinearTrainer(features, manifest), engine: linearIdentity() }]);
  const started: Promise<RoomWorker>[] = Array.from({ length: workers }, () => startLinearThread(features, manifest));
  return new TrainerRoom(await Promise.all(started));
}
