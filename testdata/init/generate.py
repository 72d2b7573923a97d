"""Starts of adapters from dense gradients and inputs, by numpy: what sketches have to lead to.

Run with numpy: python testdata/init/generate.py

gradients: per case the clients' gradients and weights, and of -step * sign(mean gradient) (or without the sign) the
singular values and the best approximation of rank r. inputs: per case the clients' rows X and weights, and the
eigenvalues and leading eigenvectors of the weighted mean of X^T X / rows.
"""

import json
from pathlib import Path

import numpy as np

random = np.random.default_rng(8)


def gradient_case(name, d_out, d_in, rank, inner, sign, step, weights):
    """`inner`: rank that all clients' gradients have in common, None for full rank."""
    shared = None if inner is None else (random.normal(size=(d_out, inner)), random.normal(size=(inner, d_in)))
    clients = []
    for _ in weights:
        if shared is None:
            g = random.normal(size=(d_out, d_in))
        else:
            g = shared[0] @ np.diag(random.uniform(0.5, 2, inner)) @ shared[1]
        clients.append(g.astype(np.float32))
    mean = np.average(np.array(clients, dtype=np.float64), axis=0, weights=weights)
    change = -step * (np.sign(mean) if sign else mean)
    u, s, vt = np.linalg.svd(change)
    best = u[:, :rank] @ np.diag(s[:rank]) @ vt[:rank]
    return {
        "name": name, "dOut": d_out, "dIn": d_in, "rank": rank, "sign": sign, "step": step, "weights": weights,
        "gradients": [g.ravel().tolist() for g in clients],
        "singularValues": s.tolist(), "best": best.ravel().tolist(),
        "leftOut": float(1 - (s[:rank] ** 2).sum() / (s**2).sum()),
        "gradientNorm": float(np.linalg.norm(mean)),
    }


def input_case(name, d_in, rank, rows, weights):
    basis = np.linalg.qr(random.normal(size=(d_in, d_in)))[0]
    scales = np.array([3.0 * 0.5**i for i in range(d_in)])
    clients = [(random.normal(size=(n, d_in)) * scales) @ basis.T for n in rows]
    moment = np.average([x.T @ x / len(x) for x in clients], axis=0, weights=weights)
    values, vectors = np.linalg.eigh(moment)
    return {
        "name": name, "dIn": d_in, "rank": rank, "weights": weights,
        "moments": [(x.T @ x / len(x)).ravel().tolist() for x in clients],
        "eigenvalues": values[::-1].tolist(), "directions": vectors.T[::-1][:rank].ravel().tolist(),
    }


golden = {
    "origin": f"testdata/init/generate.py, numpy {np.__version__}",
    "gradients": [
        gradient_case("a module no larger than its sketch", 7, 5, 2, None, True, 0.01, [1, 3]),
        gradient_case("a wide module no larger than its sketch", 4, 9, 2, None, True, 0.5, [2, 5, 1]),
        gradient_case("a gradient of the adapter's rank", 30, 21, 3, 3, False, 0.1, [1, 4]),
        gradient_case("signs of a gradient of the adapter's rank", 30, 21, 3, 3, True, 0.1, [1, 4]),
        gradient_case("a tall module", 40, 11, 4, 2, True, 0.001, [3]),
    ],
    "inputs": [input_case("three clients", 9, 3, [20, 50, 30], [1, 2, 5]), input_case("one client", 6, 2, [40], [1])],
}
(Path(__file__).parent / "golden.json").write_text(json.dumps(golden) + "\n")
