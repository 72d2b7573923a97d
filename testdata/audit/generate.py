"""Lower bounds of epsilon from membership guesses, and areas under ROC curves.

Run with numpy, scipy and scikit-learn: python testdata/audit/generate.py > testdata/audit/golden.json
The bound follows theorem 5.2 of Steinke, Nasr, Jagielski, "Privacy Auditing with One (1) Training Run" (NeurIPS 2023),
with scipy's binomial distribution and Brent's root finder.
"""

import json
import math

import numpy
import scipy
import sklearn.metrics
from scipy import optimize, stats

GUESSES = [(40, 40, 40), (400, 80, 80), (400, 80, 60), (400, 80, 45), (1000, 200, 150), (100, 20, 10), (2000, 1000, 700)]
DELTAS = [0.0, 1e-5, 1e-3]


def p_value(m: int, r: int, v: int, eps: float, delta: float) -> float:
    w = stats.binom(r, 1 / (1 + math.exp(-eps)))
    beta = w.sf(v - 1)
    alpha = max((w.cdf(v - 1) - w.cdf(v - i - 1)) / i for i in range(1, m + 1))
    return beta + 2 * m * delta * alpha


def lower_bound(m: int, r: int, v: int, delta: float, level: float) -> float:
    excess = lambda eps: p_value(m, r, v, eps, delta) - level
    if excess(0.0) >= 0:
        return 0.0
    return optimize.brentq(excess, 0.0, 50.0, xtol=1e-12)


bounds = [
    {"candidates": m, "made": r, "correct": v, "delta": delta, "confidence": 0.95, "epsilon": lower_bound(m, r, v, delta, 0.05)}
    for m, r, v in GUESSES
    for delta in DELTAS
]
clopper_pearson = [
    {"made": r, "correct": v, "epsilon": float(scipy.special.logit(stats.binomtest(v, r).proportion_ci(0.9, "exact").low))}
    for _, r, v in GUESSES
]

random = numpy.random.default_rng(11)
curves = []
for shift, digits in [(0.0, 2), (1.0, 1), (3.0, 2), (0.5, 0)]:
    members = numpy.round(random.normal(shift, 1, 60), digits).tolist()
    others = numpy.round(random.normal(0, 1, 80), digits).tolist()
    truth = [1] * len(members) + [0] * len(others)
    false_rates, true_rates, _ = sklearn.metrics.roc_curve(truth, members + others, drop_intermediate=False)
    rates = [[fpr, float(true_rates[false_rates <= fpr + 1e-12].max())] for fpr in (0.0, 0.05, 0.2)]
    auc = float(sklearn.metrics.roc_auc_score(truth, members + others))
    curves.append({"members": members, "others": others, "auc": auc, "rates": rates})

origin = f"scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, numpy {numpy.__version__}"
print(json.dumps({"origin": origin, "bounds": bounds, "clopperPearson": clopper_pearson, "curves": curves}))
