import type { EvaluateRequest, TrainRequest } from "@fedlora/client-sdk";
import { FedLoraError, planInstructionsBytes, writeSafetensors, type StateDict } from "@fedlora/core";
import { z } from "zod";
import { ClientData } from "../runtime/client-data.js";
import { KeyedSecrets } from "../runtime/keyed-secrets.js";
import type { ContentStore } from "./content-store.js";

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const rows = z.array(z.int().min(0));

const requestSchema = z.strictObject({
  kind: z.enum(["train", "evaluate"]),
  /** Index in the shard's list. */
  instructions: z.int().min(0),
  start: hash,
  data: z.strictObject({
    name: z.string(),
    trainRows: rows,
    heldOutRows: rows,
    /** What the client believes of label i; absent: i. */
    relabelled: z.array(z.int().min(0)).optional(),
  }),
  baseDeltas: z.array(z.strictObject({ id: z.string(), tensors: hash })).optional(),
  /** Key of its secrets, hex; absent: it needs none. */
  secrets: hash.optional(),
  rest: z
    .strictObject({
      round: z.int().min(0),
      streamKey: z.string(),
      optimizerState: hash.optional(),
      isNewcomer: z.boolean().optional(),
    })
    .optional(),
});

/** What a job asks for: its name is the SHA-256 of this document, tensors are named by theirs. */
export const shardSchema = z.strictObject({
  format: z.literal("fedlora-shard/1"),
  session: z.string(),
  /** Counts up in a session, so that two shards that ask for the same are two. */
  number: z.int().min(0),
  /** Plan instructions as canonical JSON. */
  instructions: z.array(z.string()),
  requests: z.array(requestSchema).min(1),
});

export type Shard = z.output<typeof shardSchema>;
export type ShardRequest = z.output<typeof requestSchema>;

/** What a client's trainer is asked, on its way to a worker. */
export type RemoteRequest =
  | { readonly kind: "train"; readonly request: TrainRequest }
  | { readonly kind: "evaluate"; readonly request: EvaluateRequest };

/** A shard whose content the store holds until `contents` are released. */
export interface PublishedShard {
  readonly hash: string;
  readonly contents: readonly string[];
}

/** Puts a shard and all that it names into the store. */
export async function publishShard(
  store: ContentStore,
  name: Pick<Shard, "session" | "number">,
  wanted: readonly RemoteRequest[],
  numLabels: number,
): Promise<PublishedShard> {
  const contents: string[] = [];
  const hold = (bytes: Uint8Array): string => {
    const held = store.hold(bytes);
    contents.push(held);
    return held;
  };
  const tensors = (state: StateDict): string => hold(writeSafetensors(state));
  const instructions = new Map<string, number>();
  const requests: ShardRequest[] = [];
  for (const { kind, request } of wanted) {
    const text = new TextDecoder().decode(planInstructionsBytes(request.instructions));
    const index = instructions.get(text) ?? instructions.size;
    instructions.set(text, index);
    const baseDeltas: { id: string; tensors: string }[] = [];
    for (const { id, source } of request.baseDeltas ?? []) {
      if (source === undefined) throw new FedLoraError("internal", `base delta ${id} has no content`);
      baseDeltas.push({ id, tensors: typeof source === "string" ? await store.offerFile(source) : tensors(source) });
    }
    const { secrets } = request;
    requests.push({
      kind,
      instructions: index,
      start: tensors(request.start),
      data: sentData(request.data, numLabels),
      ...(request.baseDeltas && { baseDeltas }),
      ...(secrets instanceof KeyedSecrets && { secrets: Buffer.from(secrets.key).toString("hex") }),
      ...(kind === "train" && { rest: restOf(request, tensors) }),
    });
  }
  const shard: Shard = { format: "fedlora-shard/1", ...name, instructions: [...instructions.keys()], requests };
  return { hash: hold(new TextEncoder().encode(JSON.stringify(shard))), contents };
}

function restOf(
  { round, streamKey, optimizerState, isNewcomer }: TrainRequest,
  tensors: (state: StateDict) => string,
): NonNullable<ShardRequest["rest"]> {
  return {
    round,
    streamKey,
    ...(optimizerState && { optimizerState: tensors(optimizerState) }),
    ...(isNewcomer !== undefined && { isNewcomer }),
  };
}

function sentData(data: TrainRequest["data"], numLabels: number): ShardRequest["data"] {
  if (!(data instanceof ClientData)) throw new FedLoraError("internal", `data set "${data.name}" has no rows`);
  const { name, trainRows, heldOutRows, relabel } = data;
  const labels = Array.from({ length: numLabels }, (_, label) => label);
  return {
    name,
    trainRows: [...trainRows],
    heldOutRows: [...heldOutRows],
    ...(relabel && { relabelled: labels.map(relabel) }),
  };
}
