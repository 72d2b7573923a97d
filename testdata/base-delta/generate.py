"""A chain of four changes to the base weights of testdata/peft, and what PyTorch and PEFT compute with the changed models.

Run with torch, transformers and peft: python testdata/base-delta/generate.py

KIND/delta-N.safetensors leads from version N - 1 to N: factors of unequal ranks in F32, factors in BF16 that change a module
without an adapter, one dense matrix beside factors, factors in F16. KIND/version-N.safetensors holds the weights at versions
2 to 4 that differ from the base, summed in float64 and rounded once. golden.safetensors: loss and gradients of the adapter
`plain` there, in float64, on the texts of testdata/peft.
"""

import json
import pathlib

import numpy as np
import peft
import torch
import transformers
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
PEFT = HERE.parent / "peft"
KINDS = {
    "bert": {
        "stored": "",
        "canonical": "bert.",
        "adapted": [f"encoder.layer.{n}.attention.self.{m}" for n in (0, 1) for m in ("query", "value")],
        "other": "encoder.layer.0.intermediate.dense",
        "dense": "encoder.layer.1.intermediate.dense",
    },
    "llama": {
        "stored": "model.",
        "canonical": "model.",
        "adapted": [f"layers.{n}.{m}" for n in (0, 1) for m in ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")],
        "other": "layers.0.mlp.gate_proj",
        "dense": "layers.1.self_attn.v_proj",
    },
}


def make_deltas(kind: dict, weights: dict[str, np.ndarray]) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(5)

    def normal(*shape: int) -> torch.Tensor:
        return 0.2 * torch.randn(shape, generator=generator)

    def factors(module: str, rank: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
        d_out, d_in = weights[f"{kind['stored']}{module}.weight"].shape
        key = f"base_model.model.{kind['canonical']}{module}"
        return {
            f"{key}.delta_A.weight": normal(rank, d_in).to(dtype),
            f"{key}.delta_B.weight": normal(d_out, rank).to(dtype),
        }

    first, *rest = kind["adapted"]
    last = {}
    for module in kind["adapted"]:
        last |= factors(module, 3, torch.float16)
    one = factors(first, 1)
    two = factors(kind["other"], 2, torch.bfloat16)
    three = {f"base_model.model.{kind['canonical']}{kind['dense']}.delta.weight": normal(*weights[f"{kind['stored']}{kind['dense']}.weight"].shape)}
    for module in rest:
        one |= factors(module, 3)
        two |= factors(module, 2, torch.bfloat16)
    three |= factors(first, 4)
    return [one, two, three, last]


def changed(kind: dict, weights: dict[str, np.ndarray], deltas: list[dict[str, torch.Tensor]]) -> dict[str, np.ndarray]:
    sums: dict[str, np.ndarray] = {}
    prefix = f"base_model.model.{kind['canonical']}"
    for delta in deltas:
        for key, value in delta.items():
            if key.endswith(".delta_B.weight"):
                continue
            module = key.removeprefix(prefix).rsplit(".delta", 1)[0]
            name = f"{kind['stored']}{module}.weight"
            change = value.double().numpy()
            if key.endswith(".delta_A.weight"):
                change = delta[key.replace("delta_A", "delta_B")].double().numpy() @ change
            sums[name] = sums.get(name, weights[name].astype(np.float64)) + change
    return {name: value.astype(np.float32) for name, value in sums.items()}


def golden(name: str, weights: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    stored = json.loads((PEFT / "golden.json").read_text())
    base_folder = PEFT / name / "base"
    if name == "bert":
        base = transformers.BertForSequenceClassification.from_pretrained(base_folder, num_labels=3)
        prefix = "bert."
    else:
        base = transformers.LlamaForCausalLM.from_pretrained(base_folder)
        prefix = ""
    state = base.state_dict()
    for key, value in weights.items():
        state[prefix + key].copy_(torch.from_numpy(value))
    adapted = peft.PeftModel.from_pretrained(base, PEFT / name / "plain", is_trainable=True).double()
    adapted.eval()
    if name == "bert":
        rows = [adapted(input_ids=torch.tensor([ids])).logits for ids in stored["bert"]["ids"]]
        loss = torch.nn.functional.cross_entropy(torch.cat(rows), torch.tensor(stored["training"]["bert"]["labels"]))
    else:
        losses = []
        for example in stored["llama"]["examples"]:
            logits = adapted(input_ids=torch.tensor([example["ids"]])).logits[0]
            every = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(example["ids"][1:]), reduction="none")
            losses.append(every[example["targetStart"] - 1 :])
        loss = torch.cat(losses).mean()
    loss.backward()
    tensors = {"loss": loss.detach().reshape(1)}
    for key, parameter in adapted.named_parameters():
        if parameter.requires_grad:
            short = key.replace(".default", "").replace(".modules_to_save", "")
            tensors[f"gradient:{short}"] = parameter.grad
    return tensors


def main() -> None:
    goldens: dict[str, torch.Tensor] = {}
    for name, kind in KINDS.items():
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        weights = load_file(PEFT / name / "base" / "model.safetensors")
        deltas = make_deltas(kind, weights)
        for version, delta in enumerate(deltas, 1):
            save_file(delta, folder / f"delta-{version}.safetensors")
        for version in (2, 3, 4):
            values = changed(kind, weights, deltas[:version])
            save_file({key: torch.from_numpy(value) for key, value in values.items()}, folder / f"version-{version}.safetensors")
            goldens |= {f"{name}/{version}/{key}": value.contiguous() for key, value in golden(name, values).items()}
    origin = f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}; generate.py beside this file"
    save_file(goldens, HERE / "golden.safetensors", {"origin": origin})
    for path in HERE.rglob("*.safetensors"):
        path.chmod(0o644)


main()
