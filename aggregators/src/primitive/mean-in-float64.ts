/** A sum of two float64 values, exactly: head is their rounded sum, tail what rounding left out. */
interface ExactPair {
  readonly head: number;
  readonly tail: number;
}

/**
 * The float32 nearest to base + sum / total where float64 can decide it, else undefined. A mean may lie exactly half-way
 * between two float32 values (with equal weights it often does); integers would decide that as well, at many times the
 * cost.
 *
 * Knuth's two-sum and Dekker's two-product (The Art of Computer Programming, volume 2, 4.2.2; Numerische Mathematik 18,
 * 1971) give the error of an addition and of a product exactly. With m half-way between the two float32 values in
 * question, base + sum / total is compared with m as sum with (m - base) * total.
 *
 * @param parts the sum is the exact sum of these, lowest first
 * @param total positive
 * @param tolerance relative error of base + sum / total in float64
 */
export function meanInFloat64(
  parts: readonly number[],
  base: number,
  total: number,
  tolerance: number,
): number | undefined {
  const [low = 0, high = 0] = parts;
  if (parts.length > 2) return undefined;
  const sum = twoSum(high, low);
  if (sum.head === 0) return base;
  const value = base + sum.head / total;
  const error = ((Math.abs(low) + Math.abs(high)) / total + Math.abs(base)) * tolerance;
  const lower = Math.fround(value - error);
  const upper = Math.fround(value + error);
  if (lower === 0 || upper === 0) return undefined;
  if (lower === upper) return lower;
  const middle = (lower + upper) / 2;
  const even = Math.fround(middle);
  // Rounds to one of its neighbours, unless another float32 lies between, or one is infinite.
  if ((even !== lower && even !== upper) || !Number.isFinite(middle)) return undefined;
  const distance = twoSum(middle, -base);
  if (distance.tail !== 0) return undefined;
  const bound = twoProduct(distance.head, total);
  // Both differences of neighbours are exact or rounded by less than would change the sign of their sum, unless it is 0.
  const order = sum.head - bound.head + (sum.tail - bound.tail);
  if (order > 0) return upper;
  if (order < 0) return lower;
  return sum.head === bound.head && sum.tail === bound.tail ? even : undefined;
}

function twoSum(a: number, b: number): ExactPair {
  const head = a + b;
  const partOfB = head - a;
  return { head, tail: a - (head - partOfB) + (b - partOfB) };
}

/** Exact while neither the product's tail (2^-53 of it) is below the range of float64 nor a factor above 2^970. */
function twoProduct(a: number, b: number): ExactPair {
  const head = a * b;
  const x = splitInTwo(a);
  const y = splitInTwo(b);
  return { head, tail: x.tail * y.tail - (head - x.head * y.head - x.tail * y.head - x.head * y.tail) };
}

/** Halves of 26 bits. */
function splitInTwo(a: number): ExactPair {
  const scaled = a * (2 ** 27 + 1);
  const head = scaled - (scaled - a);
  return { head, tail: a - head };
}
