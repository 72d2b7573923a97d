/** Up to `limit` candidates within a third of the word's length in edits (at least 2), the nearest first. */
export function nearest(word: string, candidates: Iterable<string>, limit = 3): string[] {
  const bound = Math.max(2, Math.floor(word.length / 3));
  return [...new Set(candidates)]
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= bound)
    .sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, limit)
    .map(({ candidate }) => candidate);
}

/** Levenshtein's distance: insertions, deletions and replacements, one row at a time. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** `did you mean "a" or "b"?`, or an empty text. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  const found = nearest(word, candidates).map((candidate) => `"${candidate}"`);
  return found.length === 0 ? "" : `; did you mean ${found.join(" or ")}?`;
}
