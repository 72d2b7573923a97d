import type { BaseDelta, EvaluateRequest } from "@fedlora/client-sdk";
import { FedLoraError, parsePlanInstructions, readSafetensors, type PlanInstructions } from "@fedlora/core";
import type { SimulationData } from "../data/simulation-data.js";
import { ClientData } from "../runtime/client-data.js";
import { KeyedSecrets } from "../runtime/keyed-secrets.js";
import type { Room } from "../runtime/room.js";
import type { ContentClient } from "./content-client.js";
import { shardSchema, type Shard, type ShardRequest } from "./shard.js";
import { writeShardResult, type Outcome } from "./shard-result.js";

export interface ShardWork {
  readonly room: Room;
  readonly data: SimulationData;
  readonly contents: ContentClient;
}

/**
 * Does a shard: fetches what it names, trains, and gives the result's bytes. A request that fails is an outcome like others.
 *
 * @throws FedLoraError what fetching throws (`blob-not-found`: the shard was answered already), `request-invalid`
 */
export async function workOnShard(hash: string, work: ShardWork, signal: AbortSignal): Promise<Uint8Array> {
  const shard = parseShard(await work.contents.fetch(hash, signal));
  const encoder = new TextEncoder();
  const instructions = shard.instructions.map((text) => parsePlanInstructions(encoder.encode(text)));
  const outcomes = await Promise.all(
    shard.requests.map((request) => answer(request, instructions[request.instructions], work, signal)),
  );
  signal.throwIfAborted();
  return writeShardResult(hash, work.room.engine.fingerprint, outcomes);
}

function parseShard(bytes: Uint8Array): Shard {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new FedLoraError("request-invalid", "the shard is not JSON", { cause });
  }
  const parsed = shardSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new FedLoraError("request-invalid", `shard: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "malformed"}`);
}

async function answer(
  { kind, start, data, baseDeltas, secrets, rest }: ShardRequest,
  instructions: PlanInstructions | undefined,
  { room, data: table, contents }: ShardWork,
  signal: AbortSignal,
): Promise<Outcome> {
  if (instructions === undefined) throw new FedLoraError("request-invalid", "shard: a request without instructions");
  const tensorsOf = async (name: string): Promise<EvaluateRequest["start"]> =>
    readSafetensors(await contents.fetch(name, signal)).tensors;
  const shared: EvaluateRequest = {
    instructions,
    start: await tensorsOf(start),
    data: rowsOf(data, table),
    ...(baseDeltas && { baseDeltas: await filesOf(baseDeltas, contents, signal) }),
    ...(secrets !== undefined && { secrets: new KeyedSecrets(Buffer.from(secrets, "hex")) }),
  };
  const restored = rest?.optimizerState === undefined ? undefined : await tensorsOf(rest.optimizerState);
  try {
    if (kind === "evaluate") {
      return { kind: "evaluated", counts: await room.evaluate(shared, signal, () => undefined) };
    }
    if (rest === undefined) throw new FedLoraError("request-invalid", "shard: a training without its round");
    const { round, streamKey, isNewcomer } = rest;
    const request = {
      ...shared,
      ...{ round, streamKey, optimizerState: restored },
      ...(isNewcomer !== undefined && { isNewcomer }),
    };
    return { kind: "trained", result: await room.train(request, signal, () => undefined) };
  } catch (thrown) {
    signal.throwIfAborted();
    return { kind: "failed", error: FedLoraError.from(thrown) };
  }
}

function filesOf(
  deltas: NonNullable<ShardRequest["baseDeltas"]>,
  contents: ContentClient,
  signal: AbortSignal,
): Promise<readonly BaseDelta[]> {
  return Promise.all(deltas.map(async ({ id, tensors }) => ({ id, source: await contents.file(tensors, signal) })));
}

function rowsOf({ name, trainRows, heldOutRows, relabelled }: ShardRequest["data"], table: SimulationData): ClientData {
  const beyond = [...trainRows, ...heldOutRows].find((row) => row >= table.numRows);
  if (beyond !== undefined) {
    throw new FedLoraError("request-invalid", `shard: row ${beyond} of ${name}; the data have ${table.numRows}`);
  }
  return new ClientData(name, table, {
    trainRows: Int32Array.from(trainRows),
    heldOutRows: Int32Array.from(heldOutRows),
    relabel: relabelled && ((label) => relabelled[label] ?? label),
  });
}
