export interface ScenarioRowInput {
  readonly scenario: object;
  readonly workers: number;
  readonly cacheFolder: string;
  /** Rounds at the beginning that are not measured: graphs are compiled and code is optimised in them. */
  readonly warmUp: number;
}

/** Of the rounds after the warm-up. */
export interface ScenarioRowOutput {
  readonly rounds: number;
  readonly trainings: number;
  readonly wallSeconds: number;
  /** Of the whole process, threads included, child processes not. */
  readonly cpuSeconds: number;
  /** Time that trainers worked, all together. */
  readonly trainerSeconds: number;
  /** Largest resident memory at the end of a round. */
  readonly rssMb: number;
}
