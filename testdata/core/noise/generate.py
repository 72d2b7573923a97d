"""Quantiles and tail probabilities that samples of noise are held against. Needs mpmath; writes normal.json beside."""

import json
import pathlib

import mpmath
from mpmath import erfc, erfinv, findroot, gammainc, log10, mp, mpf, sqrt

mp.dps = 40
BINS = 64
FALSE_ALARM = mpf(10) ** -9


def upper(x):
    """P(N > x) of a standard normal."""
    return erfc(x / sqrt(2)) / 2


def chi_square_quantile(degrees, alarm):
    tail = lambda x: gammainc(mpf(degrees) / 2, x / 2, regularized=True)
    return findroot(lambda x: log10(tail(x)) - log10(alarm), degrees * 2.3)


cases = {
    "origin": f"mpmath {mpmath.__version__}, {mp.dps} digits: erfinv, erfc, regularised gamma; generate.py",
    "falseAlarm": float(FALSE_ALARM),
    "bins": BINS,
    "quantiles": [float(sqrt(2) * erfinv(2 * mpf(i) / BINS - 1)) for i in range(1, BINS)],
    "chiSquareLimit": float(chi_square_quantile(BINS - 1, FALSE_ALARM)),
    "normalLimit": float(sqrt(2) * erfinv(1 - FALSE_ALARM)),
    "tails": [{"beyond": b, "probability": float(2 * upper(mpf(b)))} for b in (3, 3.6541528853610088, 4, 5)],
}
pathlib.Path(__file__).with_name("normal.json").write_text(json.dumps(cases, indent=2) + "\n")
