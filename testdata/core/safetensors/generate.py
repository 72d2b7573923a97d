"""Writes reference.safetensors with the reference implementation, for a comparison byte by byte.

Run with safetensors 0.5 or newer and numpy: python generate.py
"""

import pathlib

import numpy as np
from safetensors.numpy import save_file

tensors = {
    "b.weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 4,
    "a.weight": np.array([[1.5, -2.0]], dtype=np.float16),
    "10": np.array(7, dtype=np.int64),
    "9": np.array([True, False, True]),
    "empty": np.zeros((0, 4), dtype=np.float32),
    "small": np.array([-3, 5], dtype=np.int8),
    "wide": np.array([0.1], dtype=np.float64),
    "ids": np.array([1, 2, 3], dtype=np.int32),
    "bytes": np.array([255], dtype=np.uint8),
    "ü.名": np.array([2.5], dtype=np.float32),
}
save_file(tensors, pathlib.Path(__file__).with_name("reference.safetensors"), metadata={"format": "pt"})
