import { defineConfig } from "vitest/config";

const packages = ["core", "proto", "aggregators", "client-sdk", "coordinator", "simulations", "cli", "benchmarks"];
/** Tests read the sources of the workspaces, so they never need a build. */
const resolve = { conditions: ["@fedlora/source"] };

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
        test: { name, root: name, include: ["src/**/*.test.ts"], testTimeout: 30_000 },
      })),
      {
        resolve,
        ssr: { resolve },
        test: {
          name: "tests",
          root: "tests",
          include: ["**/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          globalSetup: ["./global-setup.ts"],
          fileParallelism: false,
        },
      },
    ],
  },
});
