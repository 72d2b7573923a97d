import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

test.each(["README.md", "docs/how-to/embed-a-client.md"])("%s shows the example as it is compiled", async (name) => {
  const example = await readFile(join(root, "examples/src/embed-client.ts"), "utf8");
  const page = await readFile(join(root, name), "utf8");

  expect(page).toContain(`\`\`\`ts\n${example}\`\`\``);
});
