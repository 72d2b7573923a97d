// The inner loops of the exact sums in WebAssembly SIMD (AssemblyScript): the same results, bit for bit, as the plain
// loops of src/primitive/plain-kernels.ts, whose comments say what they do. Pointers are bytes in the arena's memory and
// aligned to 16; counts are multiples of 4. `node scripts/gen-kernels.mjs` compiles this file.

/** Whether all magnitudes of the float32 patterns are zero or in [smallest, largest]. */
export function within(values: usize, count: i32, smallest: i32, largest: i32): bool {
  const magnitude = i32x4.splat(0x7fffffff);
  const one = i32x4.splat(1);
  let most = i32x4.splat(0);
  // Of the magnitudes less one, unsigned: zeros wrap round to the top.
  let least = i32x4.splat(-1);
  for (const end = values + ((<usize>count) << 2); values < end; values += 16) {
    const a = v128.and(v128.load(values), magnitude);
    most = i32x4.max_u(most, a);
    least = i32x4.min_u(least, i32x4.sub(a, one));
  }
  const tooLarge = i32x4.gt_u(most, i32x4.splat(largest));
  const tooSmall = i32x4.lt_u(least, i32x4.splat(max(smallest, 1) - 1));
  return !v128.any_true(v128.or(tooLarge, tooSmall));
}

/** The largest magnitude among float32 patterns, as a pattern. */
export function largestPattern(values: usize, count: i32): i32 {
  const magnitude = i32x4.splat(0x7fffffff);
  let largest = i32x4.splat(0);
  for (const end = values + ((<usize>count) << 2); values < end; values += 16) {
    largest = i32x4.max_s(largest, v128.and(v128.load(values), magnitude));
  }
  largest = i32x4.max_s(largest, i32x4.shuffle(largest, largest, 2, 3, 0, 1));
  largest = i32x4.max_s(largest, i32x4.shuffle(largest, largest, 1, 0, 3, 2));
  return i32x4.extract_lane(largest, 0);
}

/** The largest magnitude of finite float64 values. */
export function largestMagnitude(values: usize, count: i32): f64 {
  let largest = f64x2.splat(0);
  for (const end = values + ((<usize>count) << 3); values < end; values += 16) {
    largest = f64x2.pmax(largest, f64x2.abs(v128.load(values)));
  }
  return max(f64x2.extract_lane(largest, 0), f64x2.extract_lane(largest, 1));
}

/** Splits each weight * value into a multiple of the splitter's grid, added to `high`, and the rest, added to `low`. */
export function foldTwo(values: usize, count: i32, weight: f64, high: usize, low: usize, splitter: f64): void {
  const w = f64x2.splat(weight);
  const c = f64x2.splat(splitter);
  for (const end = values + ((<usize>count) << 2); values < end; values += 16) {
    const four = v128.load(values);
    const s = f64x2.mul(f64x2.promote_low_f32x4(four), w);
    const t = f64x2.mul(f64x2.promote_low_f32x4(i32x4.shuffle(four, four, 2, 3, 2, 3)), w);
    const p = f64x2.sub(f64x2.add(s, c), c);
    const q = f64x2.sub(f64x2.add(t, c), c);
    v128.store(high, f64x2.add(v128.load(high), p));
    v128.store(low, f64x2.add(v128.load(low), f64x2.sub(s, p)));
    v128.store(high, f64x2.add(v128.load(high, 16), q), 16);
    v128.store(low, f64x2.add(v128.load(low, 16), f64x2.sub(t, q)), 16);
    high += 32;
    low += 32;
  }
}

/** Moves the multiples of the splitter's grid from `from` to `to`; whether anything is left in `from`. */
export function moveMultiples(from: usize, count: i32, to: usize, splitter: f64): bool {
  const zero = f64x2.splat(0);
  const c = f64x2.splat(splitter);
  let left = zero;
  for (const end = from + ((<usize>count) << 3); from < end; from += 16) {
    const value = v128.load(from);
    const part = f64x2.sub(f64x2.add(value, c), c);
    const rest = f64x2.sub(value, part);
    v128.store(to, f64x2.add(v128.load(to), part));
    v128.store(from, rest);
    left = v128.or(left, f64x2.ne(rest, zero));
    to += 16;
  }
  return v128.any_true(left);
}

/** Adds a level to the rounded sums, and its magnitudes to the sizes. */
export function addLevel(level: usize, count: i32, sums: usize, sizes: usize): void {
  for (const end = level + ((<usize>count) << 3); level < end; level += 16) {
    const part = v128.load(level);
    v128.store(sums, f64x2.add(v128.load(sums), part));
    v128.store(sizes, f64x2.add(v128.load(sizes), f64x2.abs(part)));
    sums += 16;
    sizes += 16;
  }
}

/** `addLevel` for two levels, the lower one first, in place of what `sums` and `sizes` held. */
export function joinLevels(low: usize, high: usize, count: i32, sums: usize, sizes: usize): void {
  for (const end = low + ((<usize>count) << 3); low < end; low += 16) {
    const a = v128.load(low);
    const b = v128.load(high);
    v128.store(sums, f64x2.add(a, b));
    v128.store(sizes, f64x2.add(f64x2.abs(a), f64x2.abs(b)));
    high += 16;
    sums += 16;
    sizes += 16;
  }
}

/**
 * Each float32 of `values` from element `i` on becomes the float32 of value + sum * inverse. A group of four with one where
 * an error of `tolerance`, relative to the sizes, could change the float32 or the sign of a zero is decided by `nearest`;
 * the first group where that cannot is returned as it is. `low` is 0 where the sum is more than two levels, or `total` not
 * the whole of the weights.
 */
export function roundMeans(
  i: i32,
  count: i32,
  sums: usize,
  sizes: usize,
  inverse: f64,
  tolerance: f64,
  values: usize,
  low: usize,
  high: usize,
  total: f64,
): i32 {
  const scale = f64x2.splat(inverse);
  const relative = f64x2.splat(tolerance);
  const zero = f64x2.splat(0);
  for (; i < count; i += 4) {
    const at = (<usize>i) << 3;
    const place = values + (at >> 1);
    const from = v128.load(place);
    const from0 = f64x2.promote_low_f32x4(from);
    const from1 = f64x2.promote_low_f32x4(i32x4.shuffle(from, from, 2, 3, 2, 3));
    const size0 = v128.load(sizes + at);
    const size1 = v128.load(sizes + at, 16);
    const value0 = f64x2.add(from0, f64x2.mul(v128.load(sums + at), scale));
    const value1 = f64x2.add(from1, f64x2.mul(v128.load(sums + at, 16), scale));
    const error0 = f64x2.mul(f64x2.add(f64x2.mul(size0, scale), f64x2.abs(from0)), relative);
    const error1 = f64x2.mul(f64x2.add(f64x2.mul(size1, scale), f64x2.abs(from1)), relative);
    const lower = fourOf(f64x2.sub(value0, error0), f64x2.sub(value1, error1));
    const upper = fourOf(f64x2.add(value0, error0), f64x2.add(value1, error1));
    const isEmpty = i32x4.shuffle(f64x2.eq(size0, zero), f64x2.eq(size1, zero), 0, 2, 4, 6);
    const open = v128.or(f32x4.ne(lower, upper), f32x4.eq(lower, zero));
    if (v128.any_true(v128.andnot(open, isEmpty))) {
      if (low == 0 || !decideFour(place, low + at, high + at, total, tolerance)) return i;
    } else {
      v128.store(place, v128.bitselect(from, lower, isEmpty));
    }
  }
  return i;
}

/** Puts the nearest float32 in place of four values; false, and nothing changed, where `nearest` leaves one open. */
function decideFour(values: usize, low: usize, high: usize, total: f64, tolerance: f64): bool {
  const a = nearest(load<f64>(low), load<f64>(high), load<f32>(values), total, tolerance);
  const b = nearest(load<f64>(low, 8), load<f64>(high, 8), load<f32>(values, 4), total, tolerance);
  const c = nearest(load<f64>(low, 16), load<f64>(high, 16), load<f32>(values, 8), total, tolerance);
  const d = nearest(load<f64>(low, 24), load<f64>(high, 24), load<f32>(values, 12), total, tolerance);
  // One that is NaN makes the sum NaN; so may infinities, which are left open all the same.
  if (!(a + b + c + d - (a + b + c + d) == 0)) return false;
  store<f32>(values, <f32>a);
  store<f32>(values, <f32>b, 4);
  store<f32>(values, <f32>c, 8);
  store<f32>(values, <f32>d, 12);
  return true;
}

/** `meanInFloat64` of src/primitive/mean-in-float64.ts for two parts, NaN where that leaves the mean open. */
function nearest(low: f64, high: f64, from: f32, total: f64, tolerance: f64): f64 {
  const base = <f64>from;
  const head = high + low;
  if (head == 0) return base;
  const partOfLow = head - high;
  const tail = high - (head - partOfLow) + (low - partOfLow);
  const value = base + head / total;
  const error = ((abs(low) + abs(high)) / total + abs(base)) * tolerance;
  const lower = <f64>(<f32>(value - error));
  const upper = <f64>(<f32>(value + error));
  if (lower == 0 || upper == 0) return NaN;
  if (lower == upper) return lower;
  const middle = (lower + upper) / 2;
  const even = <f64>(<f32>middle);
  if ((even != lower && even != upper) || !(abs(middle) < Infinity)) return NaN;
  const distance = middle - base;
  const partOfBase = distance - middle;
  if (middle - (distance - partOfBase) + (-base - partOfBase) != 0) return NaN;
  const bound = distance * total;
  const scaledX = distance * 134217729;
  const x = scaledX - (scaledX - distance);
  const restX = distance - x;
  const scaledY = total * 134217729;
  const y = scaledY - (scaledY - total);
  const restY = total - y;
  const boundTail = restX * restY - (bound - x * y - restX * y - x * restY);
  const order = head - bound + (tail - boundTail);
  if (order > 0) return upper;
  if (order < 0) return lower;
  return head == bound && tail == boundTail ? even : NaN;
}

function fourOf(low: v128, high: v128): v128 {
  return i32x4.shuffle(v128.demote_zero(low), v128.demote_zero(high), 0, 1, 4, 5);
}
