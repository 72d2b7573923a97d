"""LEGEND's rank distribution and depths, in exact fractions and by exhaustive search instead of a greedy loop.

Run with Python 3.9 or later, without packages: python testdata/legend/generate.py > testdata/legend/golden.json
"""

import json
import math
from fractions import Fraction as F


def distribution(layers, lowest, highest, step, total=None):
    ranks = [min(highest, lowest + i * step) for i in range(layers)]
    if total is None or sum(ranks) == total:
        return ranks
    # The sum of the clipped values is piecewise linear in the factor: solve the piece that holds the total.
    corners = sorted({F(lowest, r) for r in ranks} | {F(highest, r) for r in ranks})
    clipped = lambda c: [min(F(highest), max(F(lowest), c * r)) for r in ranks]
    for left, right in zip(corners, corners[1:]):
        a, b = sum(clipped(left)), sum(clipped(right))
        if a <= total <= b and a < b:
            values = clipped(left + (right - left) * (total - a) / (b - a))
            break
    else:
        values = clipped(corners[0] if total == layers * lowest else corners[-1])
    floors = [math.floor(v) for v in values]
    order = sorted(range(layers), key=lambda i: (-(values[i] - floors[i]), -i))
    for i in order[: total - sum(floors)]:
        floors[i] += 1
    return floors


def times(device, layers, ranks, width, batches):
    """Milliseconds by depth: LoRA of two square modules in each layer, float32 upload."""
    out = []
    for depth in range(1, layers + 1):
        upload = 4 * sum(2 * r * 2 * width for r in ranks[layers - depth :])
        out.append(batches * (F(device["forwardMs"]) + depth * F(device["layerMs"])) + F(device["uploadMsPerByte"]) * upload)
    return out


def depths(table, caps, lowest, allowed):
    """Of all common time limits the largest whose plan keeps the bound; at each limit everybody trains what fits."""
    limits = sorted({t for row, cap in zip(table, caps) for t in row[lowest - 1 : cap]}, reverse=True)
    best = None
    for limit in limits:
        plan = []
        for row, cap in zip(table, caps):
            fitting = [k for k in range(lowest, cap + 1) if row[k - 1] <= limit]
            plan.append(max(fitting, default=lowest))
        chosen = [row[k - 1] for row, k in zip(table, plan)]
        longest = max(chosen)
        if longest > limit:
            break  # somebody is at the lowest depth and slower still
        best = plan
        if longest - sum(chosen) / len(chosen) <= allowed(longest):
            break
    return best


LAYERS, WIDTH, BATCHES = 6, 64, 5
RANKS = distribution(LAYERS, 3, 8, 1)
DEVICES = [
    # Three classes of boards, two of each.
    {"id": "agx-1", "forwardMs": 420, "layerMs": 30, "uploadMsPerByte": "1/3000", "memoryBytes": 32000, "forwardBytes": 4000, "layerBytes": 1000},
    {"id": "agx-2", "forwardMs": 430, "layerMs": 32, "uploadMsPerByte": "1/1000", "memoryBytes": 32000, "forwardBytes": 4000, "layerBytes": 1000},
    {"id": "nx-1", "forwardMs": 470, "layerMs": 55, "uploadMsPerByte": "1/2000", "memoryBytes": 10500, "forwardBytes": 4000, "layerBytes": 1000},
    {"id": "nx-2", "forwardMs": 480, "layerMs": 52, "uploadMsPerByte": "1/2500", "memoryBytes": 32000, "forwardBytes": 4000, "layerBytes": 1000},
    {"id": "tx2-1", "forwardMs": 500, "layerMs": 95, "uploadMsPerByte": "1/1500", "memoryBytes": 32000, "forwardBytes": 4000, "layerBytes": 1000},
    {"id": "tx2-2", "forwardMs": 510, "layerMs": 99, "uploadMsPerByte": "1/1000", "memoryBytes": 32000, "forwardBytes": 4000, "layerBytes": 1000},
]
SHARE = F(4, 5)

table = [times(d, LAYERS, RANKS, WIDTH, BATCHES) for d in DEVICES]
caps = [min(LAYERS, max(1, math.floor((SHARE * d["memoryBytes"] - d["forwardBytes"]) / d["layerBytes"]))) for d in DEVICES]

plans = []
for bound in ({"maxWaitShare": 1}, {"maxWaitShare": 0.3}, {"maxWaitShare": 0.15}, {"maxWaitShare": 0.1}, {"maxWaitShare": 0}, {"maxWaitMs": 900}):
    share = F(str(bound.get("maxWaitShare", 0)))
    allowed = (lambda longest: F(bound["maxWaitMs"])) if "maxWaitMs" in bound else (lambda longest: share * longest)
    plan = depths(table, caps, 1, allowed)
    plans.append({"bound": bound, "depths": plan, "expectedMs": [float(row[k - 1]) for row, k in zip(table, plan)]})

CASES = [(6, 3, 8, 1, None), (6, 1, 8, 3, None), (12, 1, 8, 0, None), (6, 3, 8, 1, 24), (6, 3, 8, 1, 40), (6, 3, 8, 1, 18),
         (6, 3, 8, 1, 48), (12, 2, 64, 5, 192), (5, 1, 256, 7, 333), (1, 4, 16, 1, 9), (30, 1, 32, 1, 500)]
golden = {
    "origin": "testdata/legend/generate.py: exact fractions, exhaustive search over common time limits; 2026-11-22",
    "distributions": [
        {"layers": n, "minRank": lo, "maxRank": hi, "step": step, **({} if total is None else {"total": total}), "ranks": distribution(n, lo, hi, step, total)}
        for n, lo, hi, step, total in CASES
    ],
    "run": {"layers": LAYERS, "width": WIDTH, "batches": BATCHES, "ranks": RANKS, "memoryShare": float(SHARE)},
    "devices": [{**d, "uploadMsPerByte": float(F(d["uploadMsPerByte"]))} for d in DEVICES],
    "plans": plans,
}
print(json.dumps(golden, indent=1))
