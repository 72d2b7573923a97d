"""One step of DP-SGD on the simulations' linear model, without noise: sums of clipped per-example gradients, by numpy, float64.

Gradients come from the full weight's gradient G = s (softmax - onehot) x^T of W + s B R A, projected onto the factors.

Run: python testdata/linear/generate_dp_sgd.py > testdata/linear/dp-sgd.json
"""

import json

import numpy as np

RANK, LABELS, FEATURES, ROWS, SCALING = 3, 4, 6, 9, 1.5
rng = np.random.default_rng(7)


def values(*shape):
    return rng.normal(size=shape).astype(np.float32).astype(np.float64)


def example_gradients(a, b, r, bias, x, label):
    mixing = np.eye(RANK) if r is None else r
    logits = SCALING * b @ mixing @ a @ x + bias
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    d = probabilities - np.eye(LABELS)[label]
    g = SCALING * np.outer(d, x)
    return {"a": mixing.T @ b.T @ g, "b": g @ a.T @ mixing.T, "r": b.T @ g @ a.T, "bias": d}


def clipped(grads, kind, clip):
    # Per layer: the module, and the head by itself, with equal shares of the squared clip norm.
    groups = [[n for n in grads if n != "bias"], ["bias"]] if kind == "per-layer" else [list(grads)]
    bound = clip / np.sqrt(len(groups))
    out = {}
    for names in groups:
        norm = np.sqrt(sum((grads[n] ** 2).sum() for n in names))
        scale = bound / (norm + 0.01) if kind == "automatic" else min(1.0, bound / norm)
        out |= {n: grads[n] * scale for n in names}
    return out


def case(trained, with_mixing, kind, clip):
    a, b, bias = values(RANK, FEATURES), values(LABELS, RANK), values(LABELS)
    r = values(RANK, RANK) if with_mixing else None
    x = values(ROWS, FEATURES) * (rng.random((ROWS, FEATURES)) > 0.3)
    y = rng.integers(0, LABELS, ROWS)
    total = {n: 0.0 for n in trained}
    lengths = []
    for row, label in zip(x, y):
        full = example_gradients(a, b, r, bias, row, label)
        grads = {n: full[n] for n in trained}
        lengths.append(float(np.sqrt(sum((g**2).sum() for g in grads.values()))))
        for n, g in clipped(grads, kind, clip).items():
            total[n] = total[n] + g
    flat = lambda t: None if t is None else np.asarray(t).ravel().tolist()
    return {
        "rank": RANK, "labels": LABELS, "dIn": FEATURES, "scaling": SCALING, "clipping": kind, "clipNorm": clip,
        "a": flat(a), "b": flat(b), "r": flat(r), "bias": flat(bias), "x": x.tolist(), "y": y.tolist(),
        "norms": lengths, "sums": {n: flat(total[n]) for n in trained},
    }


print(json.dumps({
    "origin": f"testdata/linear/generate_dp_sgd.py, numpy {np.__version__}, float64",
    "cases": [
        case(["a", "b", "bias"], False, "flat", 4.0),
        case(["b", "bias"], False, "flat", 3.0),
        case(["r", "bias"], True, "flat", 3.0),
        case(["a", "b", "bias"], False, "per-layer", 4.0),
        case(["a", "b", "bias"], False, "automatic", 1.0),
    ],
}))
