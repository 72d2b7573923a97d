"""What sketches of the tiny models must be: dense gradients and second moments, by PyTorch and transformers.

Run after generate.py, with the same packages: python testdata/peft/generate_sketches.py

sketches.safetensors, per model and adapted module M: MODEL/gradient:M, the gradient of the mean loss over all targets in
the weight of M; MODEL/moment:M, X^T X over its inputs X at all real tokens (moment_first:M: at the first token of each
text); MODEL/loss; MODEL/rows: number of real tokens and of texts. The classifier's head is that of adapter `plain`.
"""

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
golden = json.loads((HERE / "golden.json").read_text())


def record(kind, model, targets, rows, losses):
    modules = {n: m for n, m in model.named_modules() if any(n.endswith(f".{t}") for t in targets)}
    seen = {n: [] for n in modules}
    for name, module in modules.items():
        module.register_forward_hook(lambda _, args, __, name=name: seen[name].append(args[0].detach()[0]))
    loss = losses()
    grads = torch.autograd.grad(loss, [m.weight for m in modules.values()])
    tensors = {f"{kind}/loss": loss.detach()[None], f"{kind}/rows": torch.tensor([sum(map(len, rows)), len(rows)])}
    for name, grad in zip(modules, grads):
        every, first = torch.cat(seen[name]), torch.stack([x[0] for x in seen[name]])
        tensors[f"{kind}/gradient:{name}"] = grad
        tensors[f"{kind}/moment:{name}"] = every.T @ every
        tensors[f"{kind}/moment_first:{name}"] = first.T @ first
    return {k: v.contiguous() for k, v in tensors.items()}


def bert():
    model = transformers.AutoModelForSequenceClassification.from_pretrained(HERE / "bert" / "base", num_labels=3).eval()
    plain = load_file(HERE / "bert" / "plain" / "adapter_model.safetensors")
    with torch.no_grad():
        for key in ["weight", "bias"]:
            getattr(model.classifier, key).copy_(plain[f"base_model.model.classifier.{key}"])
    ids, labels = golden["bert"]["ids"], golden["training"]["bert"]["labels"]

    def losses():
        each = [
            torch.nn.functional.cross_entropy(model(input_ids=torch.tensor([row])).logits, torch.tensor([label]))
            for row, label in zip(ids, labels)
        ]
        return torch.stack(each).mean()

    return record("bert", model, ["query", "value"], ids, losses)


def llama():
    model = transformers.AutoModelForCausalLM.from_pretrained(HERE / "llama" / "base").eval()
    examples = golden["llama"]["examples"]

    def losses():
        total, count = 0, 0
        for example in examples:
            ids, start = torch.tensor(example["ids"]), example["targetStart"]
            logits = model(input_ids=ids[None]).logits[0]
            total = total + torch.nn.functional.cross_entropy(logits[start - 1 : -1], ids[start:], reduction="sum")
            count += len(ids) - start
        return total / count

    targets = json.loads((HERE / "llama" / "plain" / "adapter_config.json").read_text())["target_modules"]
    return record("llama", model, targets, [e["ids"] for e in examples], losses)


if __name__ == "__main__":
    save_file({**bert(), **llama()}, HERE / "sketches.safetensors", {"origin": "testdata/peft/generate_sketches.py"})
