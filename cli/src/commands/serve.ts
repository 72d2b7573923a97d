import { Command } from "commander";

/**
 * `fedlora serve`: the coordinator. Its options are the coordinator's own, which has a launcher of its own too, so that a
 * server can install it without the rest.
 */
export function serveCommand(): Command {
  return new Command("serve")
    .description("run the coordinator; `fedlora serve --help` lists its options")
    .helpOption(false)
    .allowUnknownOption()
    .argument("[options...]")
    .action(async (options: string[]) => {
      const { runCoordinator } = await import("@fedlora/coordinator");
      // Workers, sockets and timers that are left must not keep a drained coordinator alive.
      process.exit(await runCoordinator(options));
    });
}
