"""Writes vectors.json: a second implementation of core/src/math/random.ts in plain Python.

Run with Python 3.9 or newer: python generate.py
"""

import hashlib
import json
import math
import pathlib
import sys

M = 0xFFFFFFFF


def threefry(key, counter):
    ks = [key[0], key[1], 0x1BD11BDA ^ key[0] ^ key[1]]
    x = [(counter[0] + ks[0]) & M, (counter[1] + ks[1]) & M]
    for i in range(20):
        r = [13, 15, 26, 6, 17, 29, 16, 24][i % 8]
        x[0] = (x[0] + x[1]) & M
        x[1] = (((x[1] << r) | (x[1] >> (32 - r))) & M) ^ x[0]
        if i % 4 == 3:
            s = (i + 1) // 4
            x[0] = (x[0] + ks[s % 3]) & M
            x[1] = (x[1] + ks[(s + 1) % 3] + s) & M
    return x


# Known answers of Random123 1.09 (kat_vectors, threefry2x32 20).
assert threefry([0, 0], [0, 0]) == [0x6B200159, 0x99BA4EFE]
assert threefry([M, M], [M, M]) == [0x1CB996FC, 0xBB002BE7]
assert threefry([0x13198A2E, 0x03707344], [0x243F6A88, 0x85A308D3]) == [0xC4923A9C, 0x483DF7A0]


def derive(key, *labels):
    for label in labels:
        d = hashlib.sha256(str(label).encode()).digest()
        key = threefry(key, [int.from_bytes(d[:4], "big") | 0x80000000, int.from_bytes(d[4:8], "big")])
    return key


class Stream:
    def __init__(self, key):
        self.words = (w for i in range(10**9) for w in threefry(key, [i >> 32, i & M]))

    def word(self):
        return next(self.words)

    def uniform(self):
        a = self.word() >> 5
        return (a * 2**26 + (self.word() >> 6)) / 2**53

    def integer(self, n):
        while True:
            w = self.word()
            if w < 2**32 - 2**32 % n:
                return w % n

    def normals(self):
        while True:
            x, y = 2 * self.uniform() - 1, 2 * self.uniform() - 1
            s = x * x + y * y
            if 0 < s < 1:
                f = math.sqrt(-2 * math.log(s) / s)
                yield x * f
                yield y * f

    def shuffle(self, n):
        a = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.integer(i + 1)
            a[i], a[j] = a[j], a[i]
        return a


root = [0, 42]
normals = Stream(root).normals()
out = dict(
    origin=f"testdata/core/random/generate.py, Python {sys.version.split()[0]}; block function checked against Random123's known answers",
    seed=42,
    derived=[
        dict(labels=["a"], key=derive(root, "a")),
        dict(labels=["a", 7], key=derive(root, "a", 7)),
        dict(labels=["7", "ü"], key=derive(root, "7", "ü")),
    ],
    words=[w for s in [Stream(root)] for w in [s.word() for _ in range(5)]],
    uniforms=[u for s in [Stream(root)] for u in [s.uniform() for _ in range(5)]],
    integers=[u for s in [Stream(root)] for u in [s.integer(n) for n in [1, 2, 10, 2**32] + 12 * [3 * 2**30]]],
    normals=[next(normals) for _ in range(9)],
    shuffled=Stream(root).shuffle(12),
)
pathlib.Path(__file__).with_name("vectors.json").write_text(json.dumps(out, indent=1) + "\n")
