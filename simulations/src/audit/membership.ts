import { columnMatrix, ridgeSolve } from "@fedlora/aggregators";
import type { Example } from "@fedlora/client-sdk";
import { toFloat32, type PlanPrivacy, type RandomStream, type StateDict } from "@fedlora/core";
import type { AuditedUpload, AuditTask } from "./audit-task.js";
import { empiricalEpsilon } from "./empirical-epsilon.js";
import { summariseRoc, type RocSummary } from "./roc.js";

export interface MembershipRequest {
  readonly task: AuditTask;
  /** Examples of which each is in the data of a run by the toss of a fair coin; their directions, as `directionsOf` gives. */
  readonly candidates: readonly Example[];
  readonly directions: CandidateDirections;
  /** Examples that are in the data of every run. */
  readonly others: readonly Example[];
  readonly privacy: PlanPrivacy | undefined;
  /** Runs that count; one more is the attacker's own, to tune on. */
  readonly runs: number;
  readonly random: RandomStream;
  readonly onRun: (run: number) => void;
}

export interface MembershipResult extends RocSummary {
  /** Of the privacy loss, with 95 % confidence: see `empiricalEpsilon`. */
  readonly epsilonAtLeast: number;
  readonly uploads: readonly AuditedUpload[];
}

/** The candidates' directions and their inner products, computed once for all settings. */
export interface CandidateDirections {
  readonly directions: readonly Float64Array[];
  /** [m, m], by columns. */
  readonly gram: Float64Array;
}

/** At 1 % false positives, as membership attacks are judged (Carlini et al. 2022). */
export const falsePositiveRate = 0.01;
export const confidence = 0.95;
/** Ridges over the mean squared norm of the directions, of which the attacker takes the one that served it best. */
const ridges = [1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.1, 1, 10];

export async function directionsOf(
  task: AuditTask,
  candidates: readonly Example[],
  signal: AbortSignal,
  onCandidate: (index: number) => void,
): Promise<CandidateDirections> {
  const directions: Float64Array[] = [];
  for (const [index, candidate] of candidates.entries()) {
    directions.push(flat(task, await task.direction(candidate, signal)));
    onCandidate(index + 1);
  }
  const gram = directions.flatMap((one) => directions.map((other) => dot(one, other)));
  return { directions, gram: Float64Array.from(gram) };
}

/**
 * A membership attack on one client's upload by somebody who knows the candidates, everything that was sent to the client
 * and how it trains: the coordinator. The upload is explained as a sum of the candidates' gradients at the start of the
 * round (ridge regression), and a candidate's score is how much of its own gradient it takes.
 *
 * The attacker tunes the ridge on a run of its own. In each run it guesses about a quarter of the candidates: those that
 * score highest are members, those that score lowest are not.
 */
export async function attackMembership(request: MembershipRequest, signal: AbortSignal): Promise<MembershipResult> {
  const { task, candidates, directions, others, privacy, runs, random, onRun } = request;
  const uploads: AuditedUpload[] = [];
  const observe = async (run: number): Promise<Observation> => {
    const isMember = candidates.map(() => random.integer(2) === 1);
    const data = random.shuffle([...others, ...candidates.filter((_, index) => isMember[index] === true)]);
    const upload = await task.upload(data, privacy, `membership ${run}`, signal);
    uploads.push(upload);
    onRun(run + 1);
    return { isMember, projections: project(task, directions, upload.update) };
  };
  const ridge = bestRidge(await observe(0), directions);
  const scored: { isMember: readonly boolean[]; scores: readonly number[] }[] = [];
  for (let run = 1; run <= runs; run++) {
    const { isMember, projections } = await observe(run);
    scored.push({ isMember, scores: attribute(projections, directions, ridge) });
  }
  const scores = (member: boolean): number[] =>
    scored.flatMap((one) => one.scores.filter((_, index) => one.isMember[index] === member));
  const guesses = scored.map((one) => guess(one.scores, one.isMember));
  const made = guesses.reduce((sum, one) => sum + one.made, 0);
  const correct = guesses.reduce((sum, one) => sum + one.correct, 0);
  const total = { candidates: runs * candidates.length, made, correct };
  return {
    ...summariseRoc(scores(true), scores(false), falsePositiveRate),
    epsilonAtLeast: empiricalEpsilon(total, privacy?.delta ?? 0, confidence),
    uploads,
  };
}

interface Observation {
  readonly isMember: readonly boolean[];
  /** Inner product of the upload with each direction. */
  readonly projections: Float64Array;
}

function bestRidge({ isMember, projections }: Observation, directions: CandidateDirections): number {
  const areas = ridges.map((ridge) => {
    const scores = attribute(projections, directions, ridge);
    const of = (member: boolean): number[] => scores.filter((_, index) => isMember[index] === member);
    return summariseRoc(of(true), of(false), falsePositiveRate).auc;
  });
  return ridges[areas.indexOf(Math.max(...areas))] ?? 1;
}

/** Coefficient of each direction in the upload, times the direction's norm: comparable among the candidates of a run. */
function attribute(projections: Float64Array, { gram }: CandidateDirections, ridge: number): readonly number[] {
  const m = projections.length;
  const diagonal = Array.from({ length: m }, (_, index) => gram[index * m + index] ?? 0);
  const mean = diagonal.reduce((sum, value) => sum + value, 0) / Math.max(1, m);
  const solved = ridgeSolve(columnMatrix(m, m, gram), ridge * mean, columnMatrix(1, m, projections));
  const scores = Array.from(solved.values, (value, index) => value * Math.sqrt(diagonal[index] ?? 0));
  const largest = Math.max(...scores.map(Math.abs));
  return largest > 0 ? scores.map((score) => score / largest) : scores;
}

function guess(scores: readonly number[], isMember: readonly boolean[]): { made: number; correct: number } {
  const order = [...scores.keys()].sort((a, b) => (scores[a] ?? 0) - (scores[b] ?? 0));
  const half = Math.floor(scores.length / 8);
  const lowest = order.slice(0, half).filter((index) => isMember[index] === false).length;
  const highest = order.slice(-half).filter((index) => isMember[index] === true).length;
  return { made: 2 * half, correct: lowest + highest };
}

function project(task: AuditTask, { directions }: CandidateDirections, update: StateDict): Float64Array {
  const values = flat(task, update);
  return Float64Array.from(directions, (direction) => dot(values, direction));
}

function flat({ uploaded }: AuditTask, update: StateDict): Float64Array {
  const parts = uploaded.map(({ name }) => {
    const tensor = update.get(name);
    return tensor === undefined ? new Float32Array(0) : toFloat32(tensor);
  });
  const values = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    values.set(part, at);
    at += part.length;
  }
  return values;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}
