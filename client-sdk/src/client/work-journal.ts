import { isBlobId, isPlanId, isRunId, type BlobId, type Logger, type PlanId, type RunId } from "@fedlora/core";
import type { UpdateMetrics } from "@fedlora/core";
import { rename } from "node:fs/promises";
import { z } from "zod";
import { readIfPresent, replacePrivateFile } from "./durable-file.js";

/** An update (or an evaluation's counts) that is finished and on disk, and not yet acknowledged. */
export interface FinishedWork {
  readonly planId: PlanId;
  readonly runId: RunId;
  readonly round: number;
  /** The update's blob; undefined for an evaluation, which uploads nothing. */
  readonly blob: { readonly id: BlobId; readonly size: number } | undefined;
  readonly metrics: UpdateMetrics;
}

export interface AnsweredPlan {
  readonly planId: PlanId;
  readonly outcome: "accepted" | "refused" | "abandoned" | "declined";
  /** Why, where it was not accepted: a code of the error table. */
  readonly code: string;
  readonly reason: string;
}

interface Content {
  readonly finished: FinishedWork | undefined;
  readonly answered: readonly AnsweredPlan[];
}

const rememberedPlans = 256;
const count = z.number().int().min(0);

const contentSchema = z.object({
  format: z.literal("fedlora-work/1"),
  finished: z
    .object({
      planId: z.string().refine(isPlanId),
      runId: z.string().refine(isRunId),
      round: count,
      blob: z.object({ id: z.string().refine(isBlobId), size: count }).optional(),
      metrics: z.object({
        numExamples: count,
        numSteps: count,
        trainLoss: z.number().optional(),
        evaluation: z.object({ count: z.number(), lossSum: z.number(), confusion: z.array(z.number()) }).optional(),
        trainMs: z.number(),
        receivedLoss: z.number().optional(),
      }),
    })
    .optional(),
  answered: z.array(
    z.object({
      planId: z.string().refine(isPlanId),
      outcome: z.enum(["accepted", "refused", "abandoned", "declined"]),
      code: z.string(),
      reason: z.string(),
    }),
  ),
});

/**
 * What a restart must not forget: the one finished update, and how the latest plans ended. One small JSON file, replaced
 * atomically; a plan that is found here is never trained again.
 */
export class WorkJournal {
  readonly #path: string;
  #content: Content;

  private constructor(path: string, content: Content) {
    this.#path = path;
    this.#content = content;
  }

  static async open(path: string, logger: Logger): Promise<WorkJournal> {
    const bytes = await readIfPresent(path);
    if (bytes === undefined) return new WorkJournal(path, { finished: undefined, answered: [] });
    try {
      return new WorkJournal(path, toContent(contentSchema.parse(JSON.parse(bytes.toString("utf8")))));
    } catch (error) {
      // Only a damaged disk gets here. The coordinator still refuses a second update for a plan, so going on is safe.
      await rename(path, `${path}.damaged`);
      logger.warn(
        { err: error, file: `${path}.damaged` },
        "the journal of unfinished work was damaged; it was set aside",
      );
      return new WorkJournal(path, { finished: undefined, answered: [] });
    }
  }

  get finished(): FinishedWork | undefined {
    return this.#content.finished;
  }

  answered(planId: PlanId): AnsweredPlan | undefined {
    return this.#content.answered.find((answer) => answer.planId === planId);
  }

  /** The update's bytes must be durable before. */
  async recordFinished(finished: FinishedWork): Promise<void> {
    await this.#replace({ ...this.#content, finished });
  }

  async recordAnswer(answer: AnsweredPlan): Promise<void> {
    const others = this.#content.answered.filter(({ planId }) => planId !== answer.planId);
    await this.#replace({
      finished: this.#content.finished?.planId === answer.planId ? undefined : this.#content.finished,
      answered: [...others, answer].slice(-rememberedPlans),
    });
  }

  async #replace(content: Content): Promise<void> {
    await replacePrivateFile(this.#path, JSON.stringify({ format: "fedlora-work/1", ...content }));
    this.#content = content;
  }
}

/** Optional fields of JSON are absent; ours are present and undefined. */
function toContent({ finished, answered }: z.output<typeof contentSchema>): Content {
  if (finished === undefined) return { finished, answered };
  const { metrics, blob, ...rest } = finished;
  return {
    finished: {
      ...rest,
      blob,
      metrics: { ...metrics, trainLoss: metrics.trainLoss, evaluation: metrics.evaluation },
    },
    answered,
  };
}
