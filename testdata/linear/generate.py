"""Losses and gradients of the simulations' linear model by PyTorch's autograd, in float64.

Run: python testdata/linear/generate.py > testdata/linear/gradients.json
"""

import json

import torch

torch.manual_seed(0)
RANK, LABELS, FEATURES, ROWS, SCALING = 5, 3, 7, 6, 1.5


def case(with_mixing: bool, with_base: bool) -> dict:
    shape = lambda *size: torch.randn(*size, dtype=torch.float64).to(torch.float32).to(torch.float64)
    a, b, bias = shape(RANK, FEATURES), shape(LABELS, RANK), shape(LABELS)
    r = shape(RANK, RANK) if with_mixing else None
    base = shape(LABELS, FEATURES) if with_base else torch.zeros(LABELS, FEATURES, dtype=torch.float64)
    x = shape(ROWS, FEATURES) * (torch.rand(ROWS, FEATURES) > 0.4)
    labels = torch.randint(0, LABELS, (ROWS,))
    trained = [t.requires_grad_() for t in (a, b, bias, r) if t is not None]
    hidden = x @ a.T if r is None else x @ a.T @ r.T
    logits = x @ base.T + SCALING * hidden @ b.T + bias
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    grads = torch.autograd.grad(losses.mean(), trained)
    flat = lambda t: t.detach().flatten().tolist()
    return {
        "rank": RANK, "labels": LABELS, "dIn": FEATURES, "scaling": SCALING,
        "a": flat(a), "b": flat(b), "bias": flat(bias),
        "r": None if r is None else flat(r), "base": flat(base) if with_base else None,
        "x": x.tolist(), "y": labels.tolist(), "losses": flat(losses),
        "gradients": dict(zip(["a", "b", "bias", "r"], map(flat, grads))),
    }


print(json.dumps({
    "origin": f"testdata/linear/generate.py, PyTorch {torch.__version__}, float64",
    "cases": [case(False, False), case(False, True), case(True, True)],
}))
