import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const packages = ["core", "proto", "aggregators", "client-sdk", "coordinator", "simulations", "cli", "benchmarks"];
/** Tests read the sources of the workspaces, so they never need a build. */
const resolve = { conditions: ["@fedlora/source"] };
const setupFiles = [fileURLToPath(new URL("tests/property-seed.ts", import.meta.url))];

export default defineConfig({
  test: {
    coverage: {
      provider: "v8",
      include: packages.map((name) => `${name}/src/**/*.ts`),
      exclude: ["**/*.test.ts", "**/testing/**", "proto/src/gen/**"],
    },
    projects: [
      ...packages.map((name) => ({
        resolve,
        ssr: { resolve },
        test: { name, root: name, include: ["src/**/*.test.ts"], setupFiles, testTimeout: 30_000 },
      })),
      {
        resolve,
        ssr: { resolve },
        test: {
          name: "tests",
          root: "tests",
          include: ["**/*.test.ts"],
          setupFiles,
          testTimeout: 180_000,
          hookTimeout: 180_000,
          globalSetup: ["./global-setup.ts"],
          fileParallelism: false,
        },
      },
    ],
  },
});
