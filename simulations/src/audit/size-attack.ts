import { columnMatrix, ridgeSolve, smallSvd } from "@fedlora/aggregators";
import type { Example } from "@fedlora/client-sdk";
import { toFloat32, type PlanPrivacy, type StateDict, type TensorLayout } from "@fedlora/core";
import type { AuditTask } from "./audit-task.js";

export interface SizeAttackRequest {
  readonly task: AuditTask;
  /** Disjoint data sets, one for each shadow client. */
  readonly dataSets: readonly (readonly Example[])[];
  readonly privacy: PlanPrivacy | undefined;
  readonly onClient: (index: number) => void;
}

/** Mean absolute errors of the logarithm to base 2 of the number of examples: 1 is a factor of two. */
export interface SizeAttackResult {
  readonly error: number;
  /** Of guessing the mean of the other clients' logarithms. */
  readonly errorOfGuess: number;
}

/** Singular values of a tensor that are looked at. */
const spectrum = 4;
const ridge = 0.1;

/**
 * How well an upload tells the size of the data set behind it: norms and leading singular values of the tensors that
 * travel, of shadow clients of known size, predict the size of one that was left out, in turn for each.
 *
 * After DSiRe (Salama et al., "Dataset Size Recovery from LoRA Weights", 2024), with ridge regression in the place of
 * nearest neighbours.
 */
export async function attackSize(request: SizeAttackRequest, signal: AbortSignal): Promise<SizeAttackResult> {
  const { task, dataSets, privacy, onClient } = request;
  const features: (readonly number[])[] = [];
  for (const [index, examples] of dataSets.entries()) {
    const { update } = await task.upload(examples, privacy, `size ${index}`, signal);
    features.push(spectra(task.uploaded, update));
    onClient(index + 1);
  }
  return leaveOneOut(
    features,
    dataSets.map((examples) => Math.log2(examples.length)),
  );
}

/** Logarithms of the Frobenius norm and the leading singular values of every matrix that travels. */
export function spectra(layout: TensorLayout, update: StateDict): number[] {
  return layout.flatMap(({ name, shape }) => {
    const tensor = update.get(name);
    const [rows = 1, columns = 1] = shape;
    if (tensor === undefined || shape.length !== 2) return [];
    const values = toFloat32(tensor);
    const { s } = smallSvd(columnMatrix(columns, rows, Float64Array.from(values)));
    // A tensor that did not move has no logarithm.
    const logarithm = (value: number): number => Math.log(Math.max(value, 1e-12));
    return [logarithm(Math.hypot(...s)), ...Array.from(s.subarray(0, spectrum), logarithm)];
  });
}

/** Ridge regression on standardised features; each client's prediction comes from all the others. */
export function leaveOneOut(features: readonly (readonly number[])[], sizes: readonly number[]): SizeAttackResult {
  const rows = standardised(features);
  let error = 0;
  let errorOfGuess = 0;
  for (const [left, row] of rows.entries()) {
    const rest = [...rows.keys()].filter((index) => index !== left);
    const mean = rest.reduce((sum, index) => sum + (sizes[index] ?? 0), 0) / rest.length;
    const kernel = columnMatrix(rest.length, rest.length);
    rest.forEach((a, i) => {
      rest.forEach((b, j) => (kernel.values[j * rest.length + i] = dot(rows[a] ?? [], rows[b] ?? [])));
    });
    const targets = Float64Array.from(rest, (index) => (sizes[index] ?? 0) - mean);
    const { values } = ridgeSolve(kernel, ridge, columnMatrix(1, rest.length, targets));
    const predicted = rest.reduce((sum, index, i) => sum + (values[i] ?? 0) * dot(rows[index] ?? [], row), mean);
    error += Math.abs(predicted - (sizes[left] ?? 0)) / rows.length;
    errorOfGuess += Math.abs(mean - (sizes[left] ?? 0)) / rows.length;
  }
  return { error, errorOfGuess };
}

/** Mean 0 and variance 1 over the clients, over the root of the number of features. */
function standardised(features: readonly (readonly number[])[]): number[][] {
  const width = features[0]?.length ?? 0;
  const scale = 1 / Math.sqrt(Math.max(1, width));
  const columns = Array.from({ length: width }, (_, column) => {
    const values = features.map((row) => row[column] ?? 0);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    return { mean, factor: deviation > 1e-9 ? scale / deviation : 0 };
  });
  return features.map((row) => columns.map(({ mean, factor }, column) => ((row[column] ?? 0) - mean) * factor));
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}
