"""What a VeRA layer of Hugging Face PEFT adds to its base layer, and how PEFT starts one.

Run with torch and peft: python testdata/core/vera/generate.py
"""

import json
from pathlib import Path

import peft
import torch
from peft import VeraConfig, get_peft_model
from peft.tuners.vera.model import _kaiming_init

RANK, D_IN, D_OUT = 3, 5, 7
torch.manual_seed(11)
base = torch.nn.Sequential(torch.nn.Linear(D_IN, D_OUT))
model = get_peft_model(base, VeraConfig(r=RANK, target_modules=["0"]))
layer = model.base_model.model[0]
fresh = {"d": layer.vera_lambda_d["default"].tolist(), "b": layer.vera_lambda_b["default"].tolist()}
with torch.no_grad():
    layer.vera_lambda_d["default"].copy_(torch.randn(RANK))
    layer.vera_lambda_b["default"].copy_(torch.randn(D_OUT))
x = torch.randn(4, D_IN)
delta = layer(x) - layer.base_layer(x)
# The largest of many values is close to the bound of the uniform distribution that they are drawn from.
generator = torch.Generator().manual_seed(1)
largest = {
    f"{rows}x{columns}": _kaiming_init((rows, columns), generator).abs().max().item()
    for rows, columns in [(64, 96), (128, 64)]
}
golden = {
    "origin": f"testdata/core/vera/generate.py, peft {peft.__version__}, torch {torch.__version__}",
    "a": layer.vera_A["default"][:, :D_IN].tolist(),
    "b": layer.vera_B["default"][:D_OUT].tolist(),
    "lambda_d": layer.vera_lambda_d["default"].tolist(),
    "lambda_b": layer.vera_lambda_b["default"].tolist(),
    "x": x.tolist(),
    "delta": delta.tolist(),
    "fresh": fresh,
    "largest": largest,
}
(Path(__file__).parent / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
