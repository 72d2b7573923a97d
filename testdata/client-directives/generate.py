"""Golden values for what directives ask of a client.

penalty: gradients of lambda * ||B[:, t:]||_F * ||A[t:, :]||_F by PyTorch's autograd (HetLoRA).
scaffold: local steps of SCAFFOLD, option II, on the loss 0.5 * ||D (w - target)||^2 in numpy, float64.

Run: python generate.py > golden.json   (numpy 2.x, torch 2.x)
"""

import json
import sys

import numpy as np
import torch

rng = np.random.default_rng(11)


def f32(*shape):
    return rng.normal(size=shape).astype(np.float32)


def penalty(rank, d_in, d_out, gamma, lam):
    a, b = f32(rank, d_in), f32(d_out, rank)
    ta, tb = (torch.tensor(x.astype(np.float64), requires_grad=True) for x in (a, b))
    tail = int(np.floor(gamma * rank))
    (lam * torch.linalg.norm(tb[:, tail:]) * torch.linalg.norm(ta[tail:, :])).backward()
    return {
        "rank": rank,
        "dIn": d_in,
        "dOut": d_out,
        "gamma": gamma,
        "lambda": lam,
        "from": tail,
        "a": a.ravel().tolist(),
        "b": b.ravel().tolist(),
        "gradA": ta.grad.numpy().ravel().tolist(),
        "gradB": tb.grad.numpy().ravel().tolist(),
    }


def scaffold(steps, eta, max_norm):
    scale, target, x, c, own = (f32(2, 3).astype(np.float64) for _ in range(5))
    y = x.copy()
    for _ in range(steps):
        g = scale**2 * (y - target)
        if max_norm is not None:
            g = g * min(1.0, max_norm / (np.linalg.norm(g) + 1e-6))
        y = y - eta * (g - own + c)
    new = own - c + (x - y) / (steps * eta)
    names = ("scale", "target", "x", "c", "own", "y", "new")
    arrays = (scale, target, x, c, own, y, new)
    return {"steps": steps, "eta": eta, "maxGradNorm": max_norm} | {
        name: array.ravel().tolist() for name, array in zip(names, arrays)
    }


json.dump(
    {
        "origin": f"generate.py with numpy {np.__version__} and torch {torch.__version__}",
        "penalty": [penalty(4, 5, 7, 0.5, 0.01), penalty(8, 3, 2, 0.99, 0.3), penalty(1, 6, 4, 0.5, 1.0)],
        "scaffold": [scaffold(1, 0.1, None), scaffold(5, 0.05, None), scaffold(4, 0.1, 0.7)],
    },
    sys.stdout,
    indent=1,
)
print()
