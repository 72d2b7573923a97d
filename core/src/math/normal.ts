/**
 * The error function's complement and the normal distribution, to about 1e-15 of the value in both tails: privacy
 * accounting lives far out in them. Rational approximations: Cody, "Rational Chebyshev Approximations for the Error
 * Function", Math. Comp. 23 (1969), as in SPECFUN's CALERF, each constant the nearest double.
 * Checked against mpmath: testdata/privacy.
 */

/** x erf(x) / x^2 on [0, 0.46875], as polynomials in x^2, highest power first. */
const centre = {
  top: [0.18577770618460315, 3.1611237438705655, 113.86415415105016, 377.485237685302, 3209.3775891384694],
  bottom: [1, 23.601290952344122, 244.02463793444417, 1282.6165260773723, 2844.236833439171],
};
/** exp(x^2) erfc(x) on [0.46875, 4], in x. */
const middle = {
  top: [
    2.1531153547440383e-8, 0.5641884969886701, 8.883149794388377, 66.11919063714163, 298.6351381974001,
    881.952221241769, 1712.0476126340707, 2051.0783778260716, 1230.3393547979972,
  ],
  bottom: [
    1, 15.744926110709835, 117.6939508913125, 537.1811018620099, 1621.3895745666903, 3290.7992357334597,
    4362.619090143247, 3439.3676741437216, 1230.3393548037495,
  ],
};
/** (1 / sqrt(pi) - x exp(x^2) erfc(x)) x^2 beyond 4, in 1 / x^2. */
const tail = {
  top: [
    0.016315387137302097, 0.30532663496123236, 0.36034489994980445, 0.12578172611122926, 0.016083785148742275,
    0.0006587491615298378,
  ],
  bottom: [1, 2.568520192289822, 1.8729528499234673, 0.5279051029514285, 0.06051834131244132, 0.0023352049762686918],
};

const inverseSqrtPi = 0.5641895835477563;

/** exp(x^2) erfc(x) for x >= 0, in (0, 1]; tends to 1 / (x sqrt(pi)). NaN below 0. */
export function scaledErfc(x: number): number {
  if (!(x >= 0)) return Number.NaN;
  if (x <= 0.46875) return Math.exp(x * x) * (1 - x * rational(centre, x * x));
  if (x <= 4) return rational(middle, x);
  const inverseSquare = 1 / (x * x);
  return (inverseSqrtPi - inverseSquare * rational(tail, inverseSquare)) / x;
}

/** P[Z <= z] of a standard normal, relative accuracy near the last bits for z down to -38, then 0. */
export function normalCdf(z: number): number {
  const x = Math.abs(z) * Math.SQRT1_2;
  const beyond = 0.5 * Math.exp(-0.5 * z * z) * scaledErfc(x);
  return z <= 0 ? beyond : 1 - beyond;
}

/** ln P[Z <= z] of a standard normal, finite for every finite z above -1e150. */
export function logNormalCdf(z: number): number {
  if (z > 0) return Math.log1p(-normalCdf(-z));
  return Math.log(0.5 * scaledErfc(-z * Math.SQRT1_2)) - 0.5 * z * z;
}

/** P[low < Z <= high] of a standard normal, taken in the nearer tail so that far intervals keep their digits. */
export function normalInterval(low: number, high: number): number {
  return low > 0 ? normalCdf(-low) - normalCdf(-high) : normalCdf(high) - normalCdf(low);
}

function rational({ top, bottom }: { top: readonly number[]; bottom: readonly number[] }, x: number): number {
  return horner(top, x) / horner(bottom, x);
}

function horner(coefficients: readonly number[], x: number): number {
  let value = 0;
  for (const coefficient of coefficients) value = value * x + coefficient;
  return value;
}
