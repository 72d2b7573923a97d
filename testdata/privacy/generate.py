"""Expected numbers of privacy accounting, none of them by the code under test.

Run with mpmath and dp-accounting:

    for part in normal divergences gaussian losses pld; do
        python testdata/privacy/generate.py $part > testdata/privacy/$part.json
    done
"""

import importlib.metadata
import json
import sys

from mpmath import mp, mpf

mp.dps = 50


def normal_rows():
    points = [-37, -20, -8.3, -5.7, -3, -1.5, -0.6, -0.1, 0, 0.3, 0.66, 1, 2.5, 5.6, 8]
    scaled = [0, 1e-9, 0.2, 0.46, 0.47, 0.9, 2, 3.99, 4.01, 7, 30, 1e5, 1e200]
    return {
        "cdf": [{"z": z, "value": float(mp.ncdf(mpf(z))), "log": float(mp.log(mp.ncdf(mpf(z))))} for z in points],
        "farLog": [
            {"z": z, "log": float(-mpf(z) ** 2 / 2 + mp.log(scaled_erfc(-mpf(z) / mp.sqrt(2)) / 2))}
            for z in [-50, -1000, -1e8]
        ],
        "scaledErfc": [{"x": x, "value": float(scaled_erfc(mpf(x)))} for x in scaled],
    }


def scaled_erfc(x):
    if x > 1000:
        return (1 - 1 / (2 * x**2) + mpf(3) / (4 * x**4)) / (x * mp.sqrt(mp.pi))
    return mp.exp(x**2) * mp.erfc(x)


def divergence(order, q, sigma):
    """ln E_z (1 - q + q exp((2 z - 1) / (2 sigma^2)))^order / (order - 1), z ~ N(0, sigma^2), by integration."""
    order, q, sigma = mpf(order), mpf(q), mpf(sigma)

    def excess(z):
        ratio = 1 - q + q * mp.exp((2 * z - 1) / (2 * sigma**2))
        # E of ratio - 1 is 0, so it may be taken off: what is left is small where the divergence is.
        return mp.npdf(z, 0, sigma) * (ratio**order - 1 - order * (ratio - 1))

    ends = sorted({-14 * sigma, mpf(0), order, order + 14 * sigma} | {order * k / 8 for k in range(1, 8)})
    return mp.log1p(mp.quad(excess, ends)) / (order - 1)


def rdp_rows():
    cases = [
        *[(order, 0.01, 2.5) for order in (1.1, 1.5, 2.5, 5, 50, 100)],
        *[(order, 0.01, 1) for order in (1.1, 1.5, 2, 2.5, 3, 8, 10.9, 32)],
        *[(order, 0.1, 1) for order in (1.1, 1.9, 2, 3, 7.3)],
        *[(order, 0.04, 1.5) for order in (2, 3, 3.9)],
        *[(order, 0.5, 0.4) for order in (1.1, 1.7, 4.4)],
        *[(order, 0.9, 3) for order in (1.1, 1.2, 6.6)],
        *[(order, 0.5, 20) for order in (1.1, 3.5, 20)],
        *[(order, 1e-5, 0.3) for order in (1.1, 1.25, 2.5, 6)],
        *[(order, 1e-6, 1) for order in (1.3, 2, 10.5, 16)],
    ]
    return [
        {"order": order, "samplingRate": q, "noiseMultiplier": sigma, "divergence": float(divergence(order, q, sigma))}
        for order, q, sigma in cases
    ]


def gaussian_epsilon(sigma, delta):
    """Root of Phi(1/(2 sigma) - epsilon sigma) - e^epsilon Phi(-1/(2 sigma) - epsilon sigma) = delta."""
    sigma, delta = mpf(sigma), mpf(delta)

    def gap(epsilon):
        half, shift = 1 / (2 * sigma), epsilon * sigma
        return mp.log(mp.ncdf(half - shift) - mp.exp(epsilon) * mp.ncdf(-half - shift)) - mp.log(delta)

    low, high = mpf(0), mpf(1)
    while gap(high) > 0:
        low, high = high, high * 2
    for _ in range(120):
        middle = (low + high) / 2
        low, high = (middle, high) if gap(middle) > 0 else (low, middle)
    return high


def gaussian_rows():
    cases = [(4.530877117, 1e-6), (1, 1e-5), (0.3, 1e-9), (0.05, 1e-5), (20, 1e-3), (30, 1e-12), (2, 0.05), (5, 1e-30)]
    return [
        {"noiseMultiplier": sigma, "delta": delta, "epsilon": float(gaussian_epsilon(sigma, delta))}
        for sigma, delta in cases
    ]


def loss_rows():
    """ln (P / Q) at an outcome and back, where a formula that serves elsewhere overflows or loses its digits."""

    def loss(x, q, sigma):
        u = (2 * x - 1) / (2 * sigma**2)
        return mp.log(1 - q + q * mp.exp(u))

    def exponent(at, q):
        return mp.log((mp.exp(at) - 1 + q) / q)

    outcomes = [
        *[(x, q, 1) for x in (-40, -2, -0.25, 0.25, 0.75, 3, 900) for q in (1e-9, 0.3, 1)],
        *[(x, 0.999999, 0.5) for x in (-5, 0.4999, 0.5001, 7)],
    ]
    losses = [
        *[(at, 0.25) for at in (-0.28, -1e-10, 0, 1e-10, 0.5, 1, 2.5, 800)],
        *[(at, 1) for at in (-1e-12, 1e-12, 40, 800)],
        *[(at, 1e-7) for at in (-9e-8, 3e-9, 1e-3, 20)],
        *[(at, 1 - 2.0**-40) for at in (-20, -1.5, -0.5)],
    ]
    return {
        "losses": [
            {"outcome": x, "samplingRate": q, "noiseMultiplier": sigma, "loss": float(loss(mpf(x), mpf(q), mpf(sigma)))}
            for x, q, sigma in outcomes
        ],
        "exponents": [
            {"loss": at, "samplingRate": q, "exponent": float(exponent(mpf(at), mpf(q)))} for at, q in losses
        ],
    }


def interval_rows():
    """
    Masses of the outcomes with low < ln (P / Q) < low + step and their split between the ends, by integration. The lower
    end gets the integral of (W1 - W) / (W1 - W0) dP, where W = P / Q: then the Q-mass W dQ / W0 and W1 of the shares is
    that of the interval too. To add, the roles of P and Q are exchanged.
    """

    def row(q, sigma, low, step):
        q_, s, low_, step_ = mpf(q), mpf(sigma), mpf(low), mpf(step)

        def z_at(loss):
            ratio = (mp.exp(loss) - 1 + q_) / q_
            return s * mp.log(ratio) + 1 / (2 * s) if ratio > 0 else mpf(-60)

        w0, w1 = mp.exp(low_), mp.exp(low_ + step_)
        z0, z1 = z_at(low_), z_at(low_ + step_)

        def ratio(z):
            return 1 - q_ + q_ * mp.exp(z / s - 1 / (2 * s**2))

        def total(f):
            ends = [z0 + (z1 - z0) * k / 64 for k in range(65)]
            return mp.quad(lambda z: mp.npdf(z) * f(ratio(z)), ends)

        # P-masses: of the part of Q that goes to an end, times W there.
        to_low = total(lambda w: (w1 - w) / (w1 - w0))
        to_high = total(lambda w: (w - w0) / (w1 - w0))
        return {
            "samplingRate": q,
            "noiseMultiplier": sigma,
            "low": low,
            "step": step,
            "remove": [float(to_low * w0), float(to_high * w1)],
            "add": [float(to_low), float(to_high)],
        }

    cases = [
        (0.3, 1, 0.25, 0.125),
        (1, 1, 0.5, 5 / 256),
        (1, 0.5, -3, 1),
        (1, 4, 0.5, 0.0625),
        (0.01, 6, 0.001, 0.0078125),
        (0.5, 0.4, 9, 0.03125),
        (1, 1, 12, 0.25),
        (1, 2, -9, 0.5),
        (1e-6, 1, 2, 0.015625),
        (0.25, 1, -0.3125, 0.125),
        (0.5, 3, -0.75, 0.5),
    ]
    return [row(*case) for case in cases]


def pld_rows():
    """Both estimates of dp-accounting, which hold the true epsilon between them."""
    from dp_accounting.pld import common, privacy_loss_distribution

    def epsilon(events, delta, step, pessimistic):
        total = None
        for q, sigma, count in events:
            part = privacy_loss_distribution.from_gaussian_mechanism(
                sigma,
                value_discretization_interval=step,
                sampling_prob=q,
                pessimistic_estimate=pessimistic,
                use_connect_dots=pessimistic,
            ).self_compose(count)
            total = part if total is None else total.compose(part)
        return total.get_epsilon_for_delta(delta)

    cases = [
        ([(0.01, 0.7, 120)], 1e-5, 1e-4),
        ([(0.01, 0.35, 120)], 1e-5, 1e-4),
        ([(0.2, 0.5, 3)], 0.15594, 1e-4),
        ([(0.001, 0.8, 100)], 1e-6, 2e-5),
        ([(1e-4, 1, 10)], 1e-6, 4e-6),
        ([(0.5, 3, 50)], 1e-7, 1e-4),
        ([(0.999, 2, 100)], 1e-5, 1e-3),
        ([(0.01, 1, 100000)], 1e-5, 1e-4),
        ([(0.01, 1, 500), (0.02, 1.5, 200), (1, 20, 3)], 1e-5, 1e-4),
        ([(0.3, 0.9, 2), (1e-3, 0.5, 30)], 1e-3, 1e-4),
        ([(0.05, 1, 100), (1, 4, 2)], 1e-5, 1e-4),
    ]
    return [
        {
            "events": [{"samplingRate": q, "noiseMultiplier": sigma, "count": count} for q, sigma, count in events],
            "delta": delta,
            "optimistic": epsilon(events, delta, step, False),
            "pessimistic": epsilon(events, delta, step, True),
        }
        for events, delta, step in cases
    ]


MPMATH = f"mpmath {importlib.metadata.version('mpmath')}, 50 digits"
PARTS = {
    "normal": lambda: {"origin": MPMATH, **normal_rows()},
    "divergences": lambda: {"origin": f"{MPMATH}, integration", "rows": rdp_rows()},
    "gaussian": lambda: {"origin": f"{MPMATH}, bisection", "rows": gaussian_rows()},
    "losses": lambda: {"origin": MPMATH, **loss_rows(), "intervals": interval_rows()},
    "pld": lambda: {"origin": f"dp-accounting {importlib.metadata.version('dp-accounting')}", "rows": pld_rows()},
}
print(json.dumps(PARTS[sys.argv[1]]()))
