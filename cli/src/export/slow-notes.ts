import type { Clock } from "@fedlora/core";

/** Tells how far a task is, from its second second on, at most every two seconds: quick tasks stay silent. */
export function slowNotes(
  clock: Pick<Clock, "now">,
  note: (text: string) => void,
  everyMs = 2000,
): (text: string) => void {
  let next = clock.now() + everyMs;
  return (text) => {
    const now = clock.now();
    if (now < next) return;
    next = now + everyMs;
    note(text);
  };
}
