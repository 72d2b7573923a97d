"""What an export in a lower rank leaves out, by LAPACK, for the models and adapters of testdata/peft with the changes of
testdata/base-delta.

Run with torch, transformers and peft: python testdata/export/generate.py > testdata/export/golden.json

Per model, number of changes and module: the Frobenius norm of the adapter's change of the weight, as PEFT computes it, plus
the changes of the base weight, and the norm of what its best approximation of each rank leaves out.
"""

import json
import pathlib

import numpy as np
import peft
import torch
import transformers
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).parent.parent
PREFIX = "base_model.model."
ADAPTERS = {"bert": "patterns", "llama": "plain"}
COUNTS = (0, 2, 4)


def adapter_changes(kind: str) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    folder = ROOT / "peft" / kind
    if kind == "bert":
        base = transformers.BertForSequenceClassification.from_pretrained(folder / "base", num_labels=3)
    else:
        base = transformers.LlamaForCausalLM.from_pretrained(folder / "base")
    model = peft.PeftModel.from_pretrained(base, folder / ADAPTERS[kind]).double()
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, peft.tuners.lora.Linear)}
    changes = {
        name.removeprefix(PREFIX): layer.get_delta_weight("default").detach().numpy() for name, layer in layers.items()
    }
    return changes, {name.removeprefix(PREFIX): layer.r["default"] for name, layer in layers.items()}


def base_changes(kind: str, count: int) -> dict[str, np.ndarray]:
    sums: dict[str, np.ndarray] = {}
    for number in range(1, count + 1):
        tensors = load_file(ROOT / "base-delta" / kind / f"delta-{number}.safetensors")
        for key, value in tensors.items():
            if key.endswith(".delta_B.weight"):
                continue
            module = key.removeprefix(PREFIX).rsplit(".delta", 1)[0]
            change = value.double().numpy()
            if key.endswith(".delta_A.weight"):
                change = tensors[key.replace("delta_A", "delta_B")].double().numpy() @ change
            sums[module] = sums.get(module, 0) + change
    return sums


def main() -> None:
    result: dict[str, object] = {
        "origin": f"numpy {np.__version__}, torch {torch.__version__}, peft {peft.__version__}; generate.py beside this file"
    }
    for kind in ADAPTERS:
        own, ranks = adapter_changes(kind)
        rows = {}
        for count in COUNTS:
            others = base_changes(kind, count)
            modules = {}
            for name in sorted(own.keys() | others.keys()):
                values = np.linalg.svd(own.get(name, 0) + others.get(name, 0), compute_uv=False)
                tails = [float(np.sqrt((values[rank:] ** 2).sum())) for rank in range(len(values) + 1)]
                modules[name] = {"rank": ranks.get(name, 0), "tails": tails}
            rows[count] = modules
        result[kind] = rows
    print(json.dumps(result))


main()
