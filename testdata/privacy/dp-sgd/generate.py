"""Sums of clipped per-example gradients of the tiny models of testdata/peft, by plain PyTorch with batches of one.

Run with torch, transformers and peft: python testdata/privacy/dp-sgd/generate.py

An example's loss is the mean over its own targets; its gradient is over all trained tensors. The clip norm of a kind is
the median of the examples' norms, so that some are clipped and some not. Writes golden.json and MODEL-KIND.safetensors.
"""

import json
import pathlib

import peft
import torch
import transformers
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
PEFT = HERE.parent.parent / "peft"
LABELS = [2, 0, 2, 2, 1, 0]


def load(model: str, kind: type) -> peft.PeftModel:
    options = {"num_labels": 3} if model == "bert" else {}
    base = kind.from_pretrained(PEFT / model / "base", **options)
    adapted = peft.PeftModel.from_pretrained(base, PEFT / model / "plain", is_trainable=True)
    return adapted.eval()


def stored_name(name: str) -> str:
    return name.replace(".default", "").replace("original_module.", "").replace("modules_to_save.", "")


def module_of(name: str) -> str:
    return name.split(".lora_")[0] if ".lora_" in name else name.rsplit(".", 1)[0]


def per_example(adapted: peft.PeftModel, losses: list) -> list[dict[str, torch.Tensor]]:
    gradients = []
    for loss in losses:
        adapted.zero_grad()
        loss().backward()
        named = {stored_name(n): p.grad.double().clone() for n, p in adapted.named_parameters() if p.requires_grad}
        gradients.append(named)
    return gradients


def norm(gradient: dict[str, torch.Tensor], names) -> torch.Tensor:
    return sum(gradient[name].square().sum() for name in names).sqrt()


def clipped_sum(gradients: list, kind: str, clip: float) -> dict[str, torch.Tensor]:
    names = sorted(gradients[0])
    groups = {}
    for name in names:
        groups.setdefault(module_of(name) if kind == "per-layer" else "", []).append(name)
    bound = clip / len(groups) ** 0.5
    total = {name: torch.zeros_like(gradients[0][name]) for name in names}
    for gradient in gradients:
        for own in groups.values():
            size = norm(gradient, own)
            scale = bound / (size + 0.01) if kind == "automatic" else min(1.0, (bound / size).item())
            for name in own:
                total[name] += gradient[name] * scale
    return {name: value.float().contiguous() for name, value in total.items()}


def bert() -> tuple[peft.PeftModel, list]:
    adapted = load("bert", transformers.AutoModelForSequenceClassification)
    ids = json.loads((PEFT / "golden.json").read_text())["bert"]["ids"]

    def loss(row: list[int], label: int):
        logits = adapted(input_ids=torch.tensor([row])).logits
        return torch.nn.functional.cross_entropy(logits, torch.tensor([label]))

    return adapted, [lambda row=row, label=label: loss(row, label) for row, label in zip(ids, LABELS)]


def llama() -> tuple[peft.PeftModel, list]:
    adapted = load("llama", transformers.AutoModelForCausalLM)
    examples = json.loads((PEFT / "golden.json").read_text())["llama"]["examples"]

    def loss(example: dict):
        ids = example["ids"]
        logits = adapted(input_ids=torch.tensor([ids])).logits[0]
        every = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none")
        return every[example["targetStart"] - 1 :].mean()

    return adapted, [lambda example=example: loss(example) for example in examples]


def main() -> None:
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"
    golden = {"origin": f"{versions}; generate.py beside this file", "labels": LABELS}
    for model, build in {"bert": bert, "llama": llama}.items():
        gradients = per_example(*build())
        norms = [norm(gradient, gradient).item() for gradient in gradients]
        clip = sorted(norms)[len(norms) // 2]
        golden[model] = {"clipNorm": clip, "norms": norms}
        for kind in ("flat", "per-layer", "automatic"):
            path = HERE / f"{model}-{kind}.safetensors"
            save_file(clipped_sum(gradients, kind, clip), path)
            path.chmod(0o644)
    (HERE / "golden.json").write_text(json.dumps(golden) + "\n")


main()
