import fc from "fast-check";
import { expect, test } from "vitest";
import { EventHeap, type TimedEvent } from "./event-heap.js";

const events = fc
  .array(fc.record({ atMs: fc.nat(9), actor: fc.nat(3) }), { maxLength: 60 })
  .map((list) => list.map((event, order): TimedEvent => ({ ...event, order })));

const sorted = (list: readonly TimedEvent[]): TimedEvent[] =>
  [...list].sort((a, b) => a.atMs - b.atMs || a.actor - b.actor || a.order - b.order);

function drain(heap: EventHeap<TimedEvent>): TimedEvent[] {
  const result: TimedEvent[] = [];
  for (let event = heap.pop(); event !== undefined; event = heap.pop()) result.push(event);
  return result;
}

test("events come by time, then by actor, then in the order of their asking", () => {
  fc.assert(
    fc.property(events, (list) => {
      const heap = new EventHeap<TimedEvent>();
      for (const event of list) heap.push(event);
      expect(heap.peek()).toEqual(sorted(list)[0]);
      expect(drain(heap)).toEqual(sorted(list));
    }),
  );
});

test("what is not retained does not come", () => {
  fc.assert(
    fc.property(events, fc.nat(3), (list, actor) => {
      const heap = new EventHeap<TimedEvent>();
      for (const event of list) heap.push(event);
      heap.retain((event) => event.actor !== actor);
      expect(drain(heap)).toEqual(sorted(list).filter((event) => event.actor !== actor));
    }),
  );
});
