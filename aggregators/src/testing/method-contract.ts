import { describeAggregation } from "./aggregation-contract.js";
import { describeDeclaration } from "./declaration-contract.js";
import type { MethodCase } from "./method-case.js";
import { RoundFixture } from "./round-fixture.js";

/**
 * Registers the tests of what every method promises (see `method.ts`) for one row of the table. Call it at the top of a
 * test file: `describeMethod({ definition, options, oracle })`.
 */
export function describeMethod(row: MethodCase): void {
  const fixture = new RoundFixture(row);
  const title = ["method contract", row.definition.name, ...(row.label === undefined ? [] : [row.label])].join(": ");
  describeDeclaration(fixture, title);
  describeAggregation(fixture, title);
}
