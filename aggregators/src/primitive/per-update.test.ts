import { expect, test } from "vitest";
import { memoryUpdate } from "../testing/memory.js";
import { perUpdatePass } from "./per-update.js";

const groups = [{ name: "m", tensors: [] }];
const update = (id: string, weight = 1) => memoryUpdate(id, weight, new Map());

test("what is measured comes in the order of ids, whatever the order of arrival and the shards", () => {
  const pass = perUpdatePass("ids", groups, ({ id }) => id.toUpperCase());
  const [group] = groups;
  const [left, right] = [pass.init(group!), pass.init(group!)];
  for (const id of ["c", "a"]) pass.fold(left, update(id), group!);
  for (const one of [update("d"), update("x", 0), update("b")]) pass.fold(right, one, group!);
  pass.merge(left, right);

  const sealed = pass.seal(left, group!);
  expect(sealed.map(({ value }) => value)).toEqual(["A", "B", "C", "D"]);
  expect(sealed.map(({ clientId }) => clientId)).toEqual(["client-a", "client-b", "client-c", "client-d"]);
});
