"""PiSSA's start of small linear layers, by Hugging Face PEFT.

Run with torch and peft: python testdata/init/generate_pissa.py

Per case the weight W [dOut, dIn], rank and alpha; PEFT's product lora_B lora_A, the singular values that it took, and
what it leaves as the base weight.
"""

import json
from pathlib import Path

import peft
import torch
from peft import LoraConfig, get_peft_model


def case(name, d_out, d_in, rank, alpha, rslora, spectrum):
    torch.manual_seed(len(name))
    u = torch.linalg.qr(torch.randn(d_out, d_out))[0]
    v = torch.linalg.qr(torch.randn(d_in, d_in))[0]
    k = min(d_out, d_in)
    weight = u[:, :k] @ torch.diag(torch.tensor([spectrum(i) for i in range(k)])) @ v[:, :k].T
    layer = torch.nn.Sequential(torch.nn.Linear(d_in, d_out, bias=False))
    with torch.no_grad():
        layer[0].weight.copy_(weight)
    before = layer[0].weight.detach().clone()
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=["0"], init_lora_weights="pissa", use_rslora=rslora)
    module = get_peft_model(layer, config).base_model.model[0]
    a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
    return {
        "name": name, "dOut": d_out, "dIn": d_in, "rank": rank, "scaling": module.scaling["default"],
        "weight": before.flatten().tolist(),
        "product": (b @ a).flatten().tolist(),
        "rowNorms": a.norm(dim=1).tolist(), "columnNorms": b.norm(dim=0).tolist(),
        "residual": module.base_layer.weight.flatten().tolist(),
    }


golden = {
    "origin": f"testdata/init/generate_pissa.py, peft {peft.__version__}, torch {torch.__version__}",
    "cases": [
        case("tall, fast decay", 12, 9, 3, 6, False, lambda i: 5.0 * 0.6**i),
        case("wide, slow decay", 8, 15, 2, 2, False, lambda i: 3.0 - 0.3 * i),
        case("rank-stabilised", 10, 10, 4, 4, True, lambda i: 2.0 / (1 + i)),
    ],
}
(Path(__file__).parent / "pissa.json").write_text(json.dumps(golden) + "\n")
