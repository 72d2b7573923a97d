"""Writes rounding.json: float32 bits with the float16 and bfloat16 bits that numpy and ml_dtypes round them to.

Run with numpy 2 and ml_dtypes 0.5 or newer: python generate.py
"""

import json
import pathlib

import ml_dtypes
import numpy as np

rng = np.random.default_rng(7)
borders = []
for exact in [0, 2**-24, 2**-25, 3 * 2**-25, 2**-14, 2**-14 - 2**-24, 1, 65504, 65519.996, 65520, 65536, 3.3895314e38, 3.4028235e38, 2**-126, 2**-149, 2**-133]:
    bits = int(np.float32(exact).view(np.uint32))
    borders += [max(bits - 1, 0), bits, bits + 1]
ties = [int(np.float32(k / 2048 + 1).view(np.uint32)) for k in range(8)] + [
    int(np.float32(1 + k / 256).view(np.uint32)) for k in range(8)
] + [int(np.float32(k * 2.0**-25).view(np.uint32)) for k in range(12)]
randoms = [int(x) for x in rng.integers(0, 2**31, 200)] + [
    int(x) for x in rng.standard_normal(200).astype(np.float32).view(np.uint32)
] + [int(x) for x in (rng.standard_normal(200) * 2.0**-15).astype(np.float32).view(np.uint32)]
positive = np.array(borders + ties + randoms, dtype=np.uint32)
both = np.concatenate([positive, positive | np.uint32(0x80000000)])
values = both.view(np.float32)
both = both[~np.isnan(values)]
values = both.view(np.float32)
with np.errstate(over="ignore"):
    halves = values.astype(np.float16).view(np.uint16)
bfloats = values.astype(ml_dtypes.bfloat16).view(np.uint16)
some = np.array([0, 1, 2, 3, 0x3FF, 0x400, 0x401, 0x3C00, 0x7BFF, 0x7C00, 0x8000, 0x8001, 0x83FF, 0xFC00, 0x1234, 0x9ABC], dtype=np.uint16)
wide = some.view(np.float16).astype(np.float32).view(np.uint32)
out = {
    "origin": f"testdata/core/convert/generate.py, numpy {np.__version__}, ml_dtypes {ml_dtypes.__version__}",
    "rows": [[int(a), int(b), int(c)] for a, b, c in zip(both, halves, bfloats)],
    "widened": [[int(a), int(b)] for a, b in zip(some, wide)],
}
path = pathlib.Path(__file__).with_name("rounding.json")
path.write_text(json.dumps(out, separators=(",", ":")) + "\n")
