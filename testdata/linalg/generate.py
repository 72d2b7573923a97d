"""Decompositions and solutions by LAPACK, for matrices of every shape that the aggregation meets.

Run with numpy: python testdata/linalg/generate.py > testdata/linalg/golden.json
Matrices are lists of rows.
"""

import json

import numpy as np

rng = np.random.default_rng(20261122)


def rows(matrix):
    return np.asarray(matrix, dtype=np.float64).tolist()


def product_case(name, left, right, rank):
    """left [dOut, n], right [n, dIn]."""
    u, s, vt = np.linalg.svd(left @ right, full_matrices=False)
    count = min(left.shape[0], right.shape[1], left.shape[1])
    u, s_kept, vt = u[:, :rank], s[:rank], vt[:rank]
    signs = np.sign(u[np.abs(u).argmax(axis=0), np.arange(u.shape[1])])
    return {
        "name": name,
        "left": rows(left),
        "right": rows(right),
        "rank": rank,
        "singularValues": s[:count].tolist(),
        "u": rows(u * signs),
        "v": rows((vt * signs[:, None]).T),
        "truncated": rows((u * s_kept) @ vt),
        "tail": float(np.sqrt((s[rank:] ** 2).sum())),
    }


def normal(*shape):
    return rng.standard_normal(shape)


shared_b, shared_a = normal(9, 2), normal(2, 6)
equal = np.hstack([shared_b] * 3), np.vstack([shared_a] * 3)
graded = normal(12, 4) * np.array([1, 1e-3, 1e-6, 1e-9]), np.diag([1.0, 0.5, 0.25, 0.125]) @ normal(4, 7)
products = [
    product_case("tall factors", normal(8, 6), normal(6, 7), 2),
    product_case("more columns than either side", normal(5, 12), normal(12, 7), 3),
    product_case("a narrow side", normal(3, 6), normal(6, 20), 2),
    product_case("equal blocks", *equal, 2),
    product_case("singular values over nine decades", *graded, 4),
]


def ridge_case(name, a, lam, x):
    s = a @ a.T
    return {
        "name": name,
        "s": rows(s),
        "lambda": lam,
        "x": rows(x),
        "solution": rows(x @ np.linalg.pinv(s + lam * np.eye(len(s)), rcond=1e-12, hermitian=True)),
    }


dependent = normal(3, 8)
dependent[2] = dependent[0] - dependent[1]
ridges = [
    ridge_case("regularised", normal(4, 9), 0.01, normal(6, 4)),
    ridge_case("not regularised", normal(4, 9), 0.0, normal(5, 4)),
    ridge_case("dependent rows", dependent, 0.0, normal(5, 3)),
]
print(json.dumps({"origin": f"numpy {np.__version__}, numpy.linalg.svd and pinv, {__file__.split('/')[-1]}", "products": products, "ridges": ridges}))
