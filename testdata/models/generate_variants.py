"""Golden steps of latent and VeRA adapters on the tiny models, and what sketches of them must be, by PyTorch.

Run after generate.py, with the same packages: python testdata/models/generate_variants.py

NAME.latent.golden.safetensors, NAME.vera.golden.safetensors: adapter values, batch, loss and gradients, as in
NAME.golden.safetensors. NAME.sketch.golden.safetensors: at the base model, of every adapted module M, weight_gradient:M,
the gradient of the loss in its weight, and moment:M, X^T X over its inputs X at all real tokens (moment_first:M: at the
first token of each row).
"""

import json

import torch
import torch.nn.functional as F
from generate import ALPHA, BATCH, HERE, LENGTH, RANK, batch, numpy_of, randomise
from safetensors.numpy import save_file
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM

SCALING = ALPHA / RANK


class Adapted(torch.nn.Module):
    """y = x W^T + c + s * (what the adapter adds); written from the formula, with W dense."""

    def __init__(self, base, variant):
        super().__init__()
        self.base, self.variant = base, variant
        d_out, d_in = base.weight.shape
        shapes = {"lora_A.weight": (RANK, d_in), "lora_B.weight": (d_out, RANK)}
        shapes |= {
            "latent": {"lora_R.weight": (RANK, RANK)},
            "vera": {"vera_lambda_d": (RANK,), "vera_lambda_b": (d_out,)},
            "sketch": {},
        }[variant]
        self.values = {k: torch.randn(v, generator=GENERATOR) * 0.4 for k, v in shapes.items()}
        for value in self.values.values():
            value.requires_grad_(True)
        self.inputs = None

    def forward(self, x):
        self.inputs = x
        v = self.values
        a, b = v["lora_A.weight"], v["lora_B.weight"]
        if self.variant == "latent":
            delta = b @ v["lora_R.weight"] @ a
        elif self.variant == "vera":
            delta = torch.diag(v["vera_lambda_b"]) @ b @ torch.diag(v["vera_lambda_d"]) @ a
        else:
            delta = torch.zeros_like(self.base.weight)
        return F.linear(x, self.base.weight + SCALING * delta, self.base.bias)


def adapt(model, targets, variant):
    global GENERATOR
    GENERATOR = torch.Generator().manual_seed(17)
    adapted = {}
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and any(name.endswith(f".{t}") for t in targets):
            if name.endswith("attention.output.dense") or "pooler" in name:
                continue
            parent = model.get_submodule(name.rsplit(".", 1)[0])
            adapted[name] = Adapted(module, variant)
            setattr(parent, name.rsplit(".", 1)[1], adapted[name])
    return adapted


def make_bert():
    config = dict(
        model_type="bert", vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=16, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12,
    )
    model = BertForSequenceClassification(
        BertConfig(**config, num_labels=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    )
    randomise(model, 1, 0.15)
    tokens, mask = batch(config["vocab_size"], 2)
    labels, weights = torch.tensor([2, 0, 1]), torch.tensor([0.5, 0.3, 0.2])
    losses = lambda: F.cross_entropy(model(input_ids=tokens, attention_mask=mask).logits, labels, reduction="none")
    return model, config, ["query", "value", "intermediate.dense"], tokens, mask, labels, weights, losses


def make_llama():
    config = dict(
        model_type="llama", vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=48, max_position_embeddings=16, rms_norm_eps=1e-5,
        rope_theta=10000.0, tie_word_embeddings=True, hidden_act="silu",
    )
    model = LlamaForCausalLM(LlamaConfig(**config, attention_dropout=0.0))
    randomise(model, 3, 0.2)
    tokens, mask = batch(config["vocab_size"], 4)
    labels = torch.zeros_like(tokens)
    labels[:, :-1] = tokens[:, 1:]
    weights = torch.linspace(0.1, 1, BATCH * LENGTH).reshape(BATCH, LENGTH)
    weights[:, :-1] *= mask[:, 1:]
    weights[:, -1] = 0
    losses = lambda: F.cross_entropy(
        model(input_ids=tokens, attention_mask=mask).logits.transpose(1, 2), labels, reduction="none"
    )
    return model, {**config, "rope_interleaved": False}, ["q_proj", "v_proj", "gate_proj"], tokens, mask, labels, weights, losses


def generate(name, make, head, variant):
    model, config, targets, tokens, mask, labels, weights, losses = make()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    adapted = adapt(model, targets, variant)
    named = {f"base_model.model.{m}.{k}": v for m, a in adapted.items() for k, v in a.values.items()}
    if head is not None:
        named |= {f"base_model.model.{head}.{k}": p for k, p in model.get_submodule(head).named_parameters()}
    tensors = {"input_ids": tokens.int(), "attention_mask": mask.int(), "labels": labels.int(), "loss_weights": weights}
    tensors |= {f"value:{k}": v for k, v in named.items()}
    loss = (losses() * weights).sum()
    if variant == "sketch":
        grads = torch.autograd.grad(loss, [a.base.weight for a in adapted.values()])
        for (m, a), g in zip(adapted.items(), grads):
            tensors[f"weight_gradient:{m}"] = g
            rows = a.inputs[mask.bool()]
            tensors[f"moment:{m}"] = rows.T @ rows
            tensors[f"moment_first:{m}"] = a.inputs[:, 0].T @ a.inputs[:, 0]
    else:
        trained = {k: v for k, v in named.items() if "lora_A" not in k and "lora_B" not in k}
        tensors["loss"] = loss
        take = lambda value: torch.autograd.grad(value, list(trained.values()), retain_graph=True)
        tensors |= {f"gradient:{k}": g for k, g in zip(trained, take(loss))}
        per_row = (losses() * weights).reshape(BATCH, -1).sum(1)
        for row in range(BATCH):
            tensors |= {f"gradient{row}:{k}": g for k, g in zip(trained, take(per_row[row]))}
    for key, value in before.items():
        stored = dict(model.state_dict())
        assert key not in stored or torch.equal(stored[key], value), key
    metadata = {
        "origin": "testdata/models/generate_variants.py",
        "config": json.dumps(config),
        "settings": json.dumps(dict(rank=RANK, scaling=SCALING, targets=targets)),
    }
    save_file(numpy_of(tensors), HERE / f"{name}.{variant}.golden.safetensors", metadata)


if __name__ == "__main__":
    for variant in ["latent", "vera", "sketch"]:
        generate("bert-tiny", make_bert, "classifier", variant)
        generate("llama-tied", make_llama, None, variant)
