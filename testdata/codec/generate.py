"""Writes golden.json: what int8 blocks and top-k make of fixed values, computed here by other means than in core.

Run: python testdata/codec/generate.py   (needs numpy)
"""

import json
from pathlib import Path

import numpy as np


def int8_blocks(values, block):
    quantised, scales = [], []
    for at in range(0, len(values), block):
        part = values[at : at + block].astype(np.float64)
        scale = np.float32(np.abs(part).max() / 127)
        scales.append(float(scale))
        if scale == 0:
            quantised += [0] * len(part)
        else:
            quantised += np.clip(np.floor(part / np.float64(scale) + 0.5), -127, 127).astype(int).tolist()
    return quantised, scales


def top_k(values, density):
    """Kept indices in ascending order: by magnitude, then by place."""
    n = len(values)
    k = min(n, max(1, int(np.floor(density * n + 0.5))))
    order = sorted(range(n), key=lambda i: (-abs(float(values[i])), i))
    return sorted(order[:k])


def pack(bits):
    """Text of bits, the first one lowest in the first byte."""
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8)]


def code_indices(indices, n):
    """The cheapest of the list, the bitmap and gaps of every width, and its bytes as numbers."""
    k = len(indices)
    forms = [(4 * k, 0, "indices", 0), (-(-n // 8), 1, "bitmap", 0)]
    for width in range(1, 17):
        symbols = k + (n - k) // (2**width - 1)
        forms.append((-(-symbols * width // 8), 1 + width, "gaps", width))
    size, _, kind, width = min(forms)
    if kind == "indices":
        return kind, indices
    if kind == "bitmap":
        kept = set(indices)
        return kind, pack("".join("1" if i in kept else "0" for i in range(n)))
    text, last, escape = "", -1, 2**width - 1
    for index in indices:
        gap = index - last - 1
        while gap >= escape:
            text += "1" * width
            gap -= escape
        text += format(gap, f"0{width}b")[::-1]
        last = index
    packed = pack(text)
    return kind, packed + [0] * (size - len(packed))


def main():
    random = np.random.default_rng(3)
    blocks = []
    for length, block in [(1, 64), (64, 64), (65, 64), (200, 7), (30, 30)]:
        values = (random.standard_normal(length) * 10.0 ** random.integers(-6, 4, length)).astype(np.float32)
        if length == 200:
            values[14:21] = 0
        quantised, scales = int8_blocks(values, block)
        blocks.append({"block": block, "values": values.tolist(), "quantised": quantised, "scales": scales})

    sparse = []
    for sizes, density in [
        ([40], 0.5),
        ([7, 0, 33, 1], 0.25),
        ([300, 5], 0.1),
        ([1000, 24], 0.02),
        ([5000], 0.003),
        ([70000], 0.00003),
        ([200000], 0.000005),
        ([9], 1),
        ([3], 0.01),
    ]:
        n = sum(sizes)
        # Few distinct magnitudes, so that ties matter.
        values = (random.integers(-50, 51, n) / 8).astype(np.float32)
        if n > 2000:
            values = np.zeros(n, np.float32)
            values[random.integers(0, n, 20)] = 1
            values[n - 1] = -2
        indices = top_k(values, density)
        kind, stored = code_indices(indices, n)
        sparse.append(
            {
                "sizes": sizes,
                "density": density,
                "nonzero": [[int(i), float(values[i])] for i in np.flatnonzero(values)],
                "kept": [float(values[i]) for i in indices],
                "kind": kind,
                "stored": stored,
            }
        )
    golden = {"origin": "testdata/codec/generate.py, numpy", "int8": blocks, "topk": sparse}
    Path(__file__).with_name("golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


main()
