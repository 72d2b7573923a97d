import type { AdapterSpec, StateDict } from "@fedlora/core";
import type {
  Aggregation,
  AggregationInput,
  BaseDelta,
  ClientCapability,
  ClientInstruction,
  MethodRun,
  TensorSink,
} from "../method.js";

/**
 * Where a run's first adapter comes from: a plug-in beside the methods, chosen by `adapter.init`. It has a start, made when
 * the run is created, and may have rounds of its own before the method's, in the phase `initialise`, which train nothing.
 * Pure, as methods are. Every adapter and every frozen factor is shipped by its hash, so all clients hold the same bits.
 */
export interface AdapterInitialisation {
  readonly kind: AdapterSpec["init"]["kind"];
  readonly paper: string;
  /**
   * The adapter of round 0, F32, exactly the run's layout.
   *
   * @param seeded what `initialAdapter` of core makes of the run's seed
   * @param given what came with the run: `file` asks for it, the others refuse it
   * @throws FedLoraError `adapter-invalid`
   */
  start(seeded: StateDict, given: StateDict | undefined): StateDict;
  /**
   * Where the start takes something out of the base weights: writes base delta version 1, which the run starts at. Absent:
   * the base stays as it is.
   */
  writeBaseDelta?(start: StateDict, sink: TensorSink): BaseDelta;
  /** The rounds of its own; absent: the method begins at once. */
  readonly rounds?: InitialisationRounds;
}

/** Rounds in which clients send sketches. */
export interface InitialisationRounds {
  /** How many; the run's `rounds` includes them. */
  readonly count: number;
  prepare(client: ClientCapability): ClientInstruction;
  /** What a client downloads in round `done` + 1 of the initialisation: exactly the instruction's downloaded tensors. */
  projectFor(instruction: ClientInstruction, global: StateDict): StateDict;
  /** Gives the new global adapter and the state as it came. @param done rounds of the initialisation before this one */
  aggregate(input: AggregationInput, done: number): Aggregation;
}

export type CreateInitialisation = (run: MethodRun) => AdapterInitialisation;
