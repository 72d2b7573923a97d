// The inner loops of the linear model in WebAssembly SIMD (AssemblyScript), in the order and precision of the plain loops
// that row-products.test.ts holds them against, bit for bit. Matrices lie by columns, each column filled up with zeros to
// `padded` numbers, a multiple of 8: what one number of an example is multiplied with lies together. Pointers are bytes.
// `node scripts/gen-kernels.mjs` compiles this file.

/** From [rows, columns] by rows to columns; float32. */
export function toColumns(from: usize, rows: i32, columns: i32, padded: i32, to: usize): void {
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      store<f32>(to + ((<usize>row) << 2), load<f32>(from + ((<usize>(row * columns + column)) << 2)));
    }
    for (let row = rows; row < padded; row++) store<f32>(to + ((<usize>row) << 2), 0);
    to += (<usize>padded) << 2;
  }
}

/** From columns to [rows, columns] by rows; the columns are zeros afterwards. */
export function takeRows(from: usize, rows: i32, columns: i32, padded: i32, to: usize): void {
  for (let column = 0; column < columns; column++) {
    const start = from + ((<usize>(column * padded)) << 2);
    for (let row = 0; row < rows; row++) {
      store<f32>(to + ((<usize>(row * columns + column)) << 2), load<f32>(start + ((<usize>row) << 2)));
    }
  }
  memory.fill(from, 0, (<usize>(columns * padded)) << 2);
}

/** The matrix times a sparse example: float64 sums [padded] of the columns at `indices` (uint16) times `values` (float32). */
export function project(matrix: usize, padded: i32, indices: usize, values: usize, count: i32, sums: usize): void {
  const stride = (<usize>padded) << 2;
  const end = indices + ((<usize>count) << 1);
  for (let block = 0; block < padded; block += 8) {
    let s = f64x2.splat(0);
    let t = s;
    let u = s;
    let v = s;
    let value = values;
    for (let index = indices; index < end; index += 2) {
      const column = matrix + (<usize>load<u16>(index)) * stride;
      const x = f64x2.splat(<f64>load<f32>(value));
      const low = v128.load(column);
      const high = v128.load(column, 16);
      s = f64x2.add(s, f64x2.mul(f64x2.promote_low_f32x4(low), x));
      t = f64x2.add(t, f64x2.mul(f64x2.promote_low_f32x4(i32x4.shuffle(low, low, 2, 3, 2, 3)), x));
      u = f64x2.add(u, f64x2.mul(f64x2.promote_low_f32x4(high), x));
      v = f64x2.add(v, f64x2.mul(f64x2.promote_low_f32x4(i32x4.shuffle(high, high, 2, 3, 2, 3)), x));
      value += 4;
    }
    v128.store(sums, s);
    v128.store(sums, t, 16);
    v128.store(sums, u, 32);
    v128.store(sums, v, 48);
    matrix += 32;
    sums += 64;
  }
}

/** Adds float64 `factors` [padded] times the example's values to the columns at its indices, rounded to float32. */
export function accumulate(matrix: usize, padded: i32, indices: usize, values: usize, count: i32, factors: usize): void {
  const stride = (<usize>padded) << 2;
  const end = indices + ((<usize>count) << 1);
  for (let block = 0; block < padded; block += 8) {
    const s = v128.load(factors);
    const t = v128.load(factors, 16);
    const u = v128.load(factors, 32);
    const v = v128.load(factors, 48);
    let value = values;
    for (let index = indices; index < end; index += 2) {
      const column = matrix + (<usize>load<u16>(index)) * stride;
      const x = f64x2.splat(<f64>load<f32>(value));
      const low = v128.load(column);
      const high = v128.load(column, 16);
      v128.store(column, add(low, f64x2.mul(s, x), f64x2.mul(t, x)));
      v128.store(column, add(high, f64x2.mul(u, x), f64x2.mul(v, x)), 16);
      value += 4;
    }
    matrix += 32;
    factors += 64;
  }
}

/** Four float32 plus two and two float64. */
@inline
function add(four: v128, first: v128, second: v128): v128 {
  const a = f64x2.add(f64x2.promote_low_f32x4(four), first);
  const b = f64x2.add(f64x2.promote_low_f32x4(i32x4.shuffle(four, four, 2, 3, 2, 3)), second);
  return i32x4.shuffle(f32x4.demote_f64x2_zero(a), f32x4.demote_f64x2_zero(b), 0, 1, 4, 5);
}

/** The sum of `count` float32 squares in float64: four sums, of every fourth number each, the last ones in the first. */
export function sumOfSquares(values: usize, count: i32): f64 {
  let s = f64x2.splat(0);
  let t = s;
  const end = values + ((<usize>(count & ~3)) << 2);
  for (; values < end; values += 16) {
    const four = v128.load(values);
    const low = f64x2.promote_low_f32x4(four);
    const high = f64x2.promote_low_f32x4(i32x4.shuffle(four, four, 2, 3, 2, 3));
    s = f64x2.add(s, f64x2.mul(low, low));
    t = f64x2.add(t, f64x2.mul(high, high));
  }
  let first = f64x2.extract_lane(s, 0);
  for (let rest = count & 3; rest > 0; rest--, values += 4) {
    const value = <f64>load<f32>(values);
    first += value * value;
  }
  return first + f64x2.extract_lane(s, 1) + (f64x2.extract_lane(t, 0) + f64x2.extract_lane(t, 1));
}

/** values = values * decay - rate * gradient, each operation rounded to float32. */
export function descend(values: usize, gradient: usize, count: i32, decay: f32, rate: f32): void {
  const decays = f32x4.splat(decay);
  const rates = f32x4.splat(rate);
  const end = values + ((<usize>(count & ~3)) << 2);
  for (; values < end; values += 16, gradient += 16) {
    v128.store(values, f32x4.sub(f32x4.mul(v128.load(values), decays), f32x4.mul(v128.load(gradient), rates)));
  }
  for (let rest = count & 3; rest > 0; rest--, values += 4, gradient += 4) {
    store<f32>(values, load<f32>(values) * decay - load<f32>(gradient) * rate);
  }
}
