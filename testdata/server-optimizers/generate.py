"""Golden steps of the server optimizers in float64, straight from the formulas (Reddi et al. 2021; Hsu et al. 2019).

Run: python generate.py > golden.json   (numpy 2.x)
"""

import json
import sys

import numpy as np

rng = np.random.default_rng(7)
STEPS, SIZE = 4, 6

SPECS = [
    {"kind": "fedavgm", "learningRate": 0.7, "momentum": 0.9},
    {"kind": "fedadagrad", "learningRate": 0.1, "beta1": 0.0, "tau": 1e-3},
    {"kind": "fedadagrad", "learningRate": 0.1, "beta1": 0.5, "tau": 1e-2},
    {"kind": "fedadam", "learningRate": 0.1, "beta1": 0.9, "beta2": 0.99, "tau": 1e-3},
    {"kind": "fedyogi", "learningRate": 0.01, "beta1": 0.9, "beta2": 0.99, "tau": 1e-3},
    {"kind": "fedyogi", "learningRate": 0.05, "beta1": 0.0, "beta2": 0.5, "tau": 1e-3},
]


def run(spec):
    x = rng.normal(size=SIZE).astype(np.float32).astype(np.float64)
    start, rounds = x.tolist(), []
    m, v = np.zeros(SIZE), np.zeros(SIZE)
    for _ in range(STEPS):
        aggregated = (x + rng.normal(size=SIZE) * 0.3).astype(np.float32).astype(np.float64)
        d = aggregated - x
        if spec["kind"] == "fedavgm":
            m = spec["momentum"] * m + d
            x = x + spec["learningRate"] * m
        else:
            m = spec["beta1"] * m + (1 - spec["beta1"]) * d
            if spec["kind"] == "fedadagrad":
                v = v + d**2
            elif spec["kind"] == "fedadam":
                v = spec["beta2"] * v + (1 - spec["beta2"]) * d**2
            else:
                v = v - (1 - spec["beta2"]) * d**2 * np.sign(v - d**2)
            x = x + spec["learningRate"] * m / (np.sqrt(v) + spec["tau"])
        rounds.append({"aggregated": aggregated.tolist(), "x": x.tolist(), "m": m.tolist(), "v": v.tolist()})
    return {"spec": spec, "start": start, "rounds": rounds}


origin = f"generate.py with numpy {np.__version__}, float64"
json.dump({"origin": origin, "cases": [run(spec) for spec in SPECS]}, sys.stdout, indent=1)
print()
