import { Command } from "commander";
import { formatBytes, formatMetric, formatSeconds, table } from "../output.js";
import { readBytes, readTextFile } from "../files.js";
import { interruptSignal, parseRunId, wholeNumber, withAdmin, withCoordinator, withJson } from "./shared.js";
import { describeEvent } from "./run-events.js";

interface AdminOptions {
  readonly coordinator: string;
  readonly insecure?: boolean;
  readonly json?: boolean;
}

/** `fedlora run ...`: create, list, show, watch, stop, resume and the schema of run specs. */
export function runCommand(): Command {
  const command = new Command("run").description("create and follow runs");
  const sub = (name: string, description: string): Command =>
    withJson(withCoordinator(command.command(name).description(description)));

  sub("create <spec>", "create a run from a spec file (YAML or JSON)")
    .option("--key <text>", "idempotency key: the same key gives the same run")
    .option("--adapter <file>", "the adapter that the spec's adapter.init names by its hash")
    .action(async (spec: string, options: AdminOptions & { key?: string; adapter?: string }) => {
      const { parseRunSpec } = await import("@fedlora/core");
      const parsed = parseRunSpec(await readTextFile(spec, "run spec"));
      const adapter = options.adapter === undefined ? undefined : await readBytes(options.adapter, "adapter");
      await withAdmin(options, async (admin, output) => {
        if (adapter !== undefined) await admin.putBlob(adapter);
        const run = await admin.createRun(parsed, options.key);
        output.print(output.json ? JSON.stringify(run.summary) : run.summary.runId);
        if (parsed.privacy.mode !== "none") {
          const { privacyNote } = await import("../privacy/report-text.js");
          output.note(privacyNote(await admin.privacy(run.summary.runId)));
        }
        output.note(`created; follow it with: fedlora run watch ${run.summary.runId} -c ${options.coordinator}`);
      });
    });

  sub("list", "list all runs").action((options: AdminOptions) =>
    withAdmin(options, async (admin, output) => {
      const runs = await admin.listRuns();
      if (output.json) output.print(JSON.stringify(runs));
      else if (runs.length === 0) output.print("no runs yet; create one with: fedlora run create SPEC");
      else {
        const rows = runs.map((run) => [
          run.runId,
          run.name,
          run.state,
          run.phase,
          `${run.round}/${run.rounds}`,
          run.method,
          run.reason,
        ]);
        output.print(table(["run", "name", "state", "phase", "round", "method", "why"], rows));
      }
    }),
  );

  sub("show <run>", "show a run and its rounds").action((run: string, options: AdminOptions) =>
    withAdmin(options, async (admin, output) => {
      const detail = await admin.getRun(parseRunId(run));
      if (output.json) {
        output.print(JSON.stringify(detail));
        return;
      }
      const { summary } = detail;
      output.print(
        `${summary.name} (${summary.runId}): ${summary.state}, round ${summary.round} of ${summary.rounds}, ${summary.phase}`,
      );
      if (summary.reason !== "") output.print(summary.reason);
      const rows = detail.rounds.map((round) => [
        round.round,
        `${round.accepted}/${round.planned}`,
        formatMetric(round.trainLoss),
        formatMetric(round.evaluation?.loss),
        formatMetric(round.evaluation?.accuracy),
        formatMetric(round.evaluation?.f1),
        formatBytes(round.bytesUp),
        formatBytes(round.bytesDown),
        formatSeconds(round.durationMs),
        round.round === detail.bestRound ? "best" : "",
      ]);
      if (rows.length > 0) {
        output.print(
          table(["round", "updates", "train loss", "loss", "accuracy", "F1", "up", "down", "time", ""], rows),
        );
      }
    }),
  );

  sub("watch <run>", "print a run's events until it ends")
    .option("--after <sequence>", "start behind this event", wholeNumber("--after", 0, Number.MAX_SAFE_INTEGER), 0)
    .action((run: string, options: AdminOptions & { after: number }) =>
      withAdmin(options, async (admin, output) => {
        const signal = interruptSignal();
        for await (const event of admin.watchRun(parseRunId(run), options.after, signal)) {
          output.print(output.json ? JSON.stringify(event) : describeEvent(event));
        }
        const { summary } = await admin.getRun(parseRunId(run));
        if (summary.state === "failed") process.exitCode = 1;
      }),
    );

  sub("stop <run>", "stop a run; its last committed round stays")
    .option("--reason <text>", "shown to whoever asks why", "stopped by an operator")
    .action((run: string, options: AdminOptions & { reason: string }) =>
      withAdmin(options, async (admin, output) => {
        const { summary } = await admin.stopRun(parseRunId(run), options.reason);
        output.print(
          output.json ? JSON.stringify(summary) : `${summary.runId}: ${summary.state} after round ${summary.round}`,
        );
      }),
    );

  sub("resume <run>", "continue a stopped or failed run").action((run: string, options: AdminOptions) =>
    withAdmin(options, async (admin, output) => {
      const { summary } = await admin.resumeRun(parseRunId(run));
      output.print(
        output.json ? JSON.stringify(summary) : `${summary.runId}: ${summary.state}, round ${summary.round}`,
      );
    }),
  );

  command
    .command("schema")
    .description("print the JSON Schema of run specs")
    .action(async () => {
      const { runSpecJsonSchema } = await import("@fedlora/core");
      process.stdout.write(`${JSON.stringify(runSpecJsonSchema(), null, 2)}\n`);
    });
  return command;
}
