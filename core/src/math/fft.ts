/**
 * Discrete Fourier transforms of one power-of-two size, in place, tables made once.
 *
 * `forward` leaves frequency w at the bit-reversed index of w, and `inverse` expects it there: products of spectra need
 * no particular order, so neither pass has to sort. `partnerOf(i)` is the index of frequency -w where i is that of w.
 * Gentleman and Sande's decimation in frequency one way, Cooley and Tukey's in time the other.
 */
export interface Fft {
  readonly size: number;
  /** sum over t of x[t] exp(-2 pi i w t / size). */
  forward(re: Float64Array, im: Float64Array): void;
  /** The inverse of `forward`, divided by size. */
  inverse(re: Float64Array, im: Float64Array): void;
}

/** @param size a power of two, at least 2 */
export function createFft(size: number): Fft {
  // Stage after stage, each stage's factors in one run: entry half + j belongs to the stage of that half.
  const cos = new Float64Array(size);
  const sin = new Float64Array(size);
  const top = size / 2;
  for (let j = 0; j < top; j += 1) {
    cos[top + j] = Math.cos((Math.PI * j) / top);
    sin[top + j] = Math.sin((Math.PI * j) / top);
  }
  for (let i = top - 1; i >= 1; i -= 1) {
    cos[i] = cos[2 * i] ?? 0;
    sin[i] = sin[2 * i] ?? 0;
  }
  return {
    size,
    forward: (re, im) => {
      for (let half = top; half >= 1; half /= 2) {
        for (let start = 0; start < size; start += 2 * half) {
          for (let j = 0; j < half; j += 1) {
            const [a, b, c, s] = [start + j, start + j + half, cos[half + j] ?? 0, sin[half + j] ?? 0];
            const differenceRe = (re[a] ?? 0) - (re[b] ?? 0);
            const differenceIm = (im[a] ?? 0) - (im[b] ?? 0);
            re[a] = (re[a] ?? 0) + (re[b] ?? 0);
            im[a] = (im[a] ?? 0) + (im[b] ?? 0);
            re[b] = differenceRe * c + differenceIm * s;
            im[b] = differenceIm * c - differenceRe * s;
          }
        }
      }
    },
    inverse: (re, im) => {
      for (let half = 1; half <= top; half *= 2) {
        for (let start = 0; start < size; start += 2 * half) {
          for (let j = 0; j < half; j += 1) {
            const [a, b, c, s] = [start + j, start + j + half, cos[half + j] ?? 0, sin[half + j] ?? 0];
            const turnedRe = (re[b] ?? 0) * c - (im[b] ?? 0) * s;
            const turnedIm = (im[b] ?? 0) * c + (re[b] ?? 0) * s;
            re[b] = (re[a] ?? 0) - turnedRe;
            im[b] = (im[a] ?? 0) - turnedIm;
            re[a] = (re[a] ?? 0) + turnedRe;
            im[a] = (im[a] ?? 0) + turnedIm;
          }
        }
      }
      for (let i = 0; i < size; i += 1) {
        re[i] = (re[i] ?? 0) / size;
        im[i] = (im[i] ?? 0) / size;
      }
    },
  };
}

/** Where `forward` leaves frequency -w if it leaves w at `index`: runs [2^m, 2^(m + 1)) are mirrored, 0 and 1 stay. */
export function partnerOf(index: number): number {
  return index === 0 ? 0 : 3 * 2 ** (31 - Math.clz32(index)) - 1 - index;
}
