"""Writes cases.json: accuracy and F1 by definition, over lists of (true label, predicted label).

Run with Python 3.9 or newer: python generate.py. The definitions are those of scikit-learn's accuracy_score and f1_score
with pos_label and zero_division=0.
"""

import json
import pathlib
import random

rng = random.Random(5)
cases = []
for labels, positive, count in [(2, 1, 40), (2, 0, 17), (3, 1, 60), (3, 2, 5), (2, 1, 1), (4, 3, 9)]:
    pairs = [(rng.randrange(labels), rng.randrange(labels)) for _ in range(count)]
    if labels == 4:
        pairs = [(t % 3, p % 3) for t, p in pairs]  # the positive label never occurs
    tp = sum(t == p == positive for t, p in pairs)
    fp = sum(t != positive == p for t, p in pairs)
    fn = sum(t == positive != p for t, p in pairs)
    precision = tp / (tp + fp) if tp + fp else 0
    recall = tp / (tp + fn) if tp + fn else 0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0
    cases.append(dict(labels=labels, positive=positive, pairs=pairs, accuracy=sum(t == p for t, p in pairs) / count, f1=f1))
out = dict(origin="testdata/core/metrics/generate.py", cases=cases)
pathlib.Path(__file__).with_name("cases.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")
