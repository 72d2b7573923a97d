"""Golden training steps of tiny random models, by PyTorch, Transformers and PEFT.

    python -m venv venv && venv/bin/pip install torch==2.15.0 transformers==4.57.1 peft==0.21.2 safetensors numpy
    venv/bin/python generate.py

Writes beside itself, per model: NAME.weights.safetensors (names and numbers as Transformers saves them) and
NAME.golden.safetensors (adapter values, batch, loss, losses, logits, gradients), with config and settings as metadata.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from safetensors.numpy import save_file
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).parent
BATCH, LENGTH, RANK, ALPHA = 3, 7, 4, 6


def randomise(model, seed, deviation):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator) * deviation
            is_norm = "norm" in name.lower() and name.endswith("weight")
            parameter.copy_(noise + 1 if is_norm else noise)


def numpy_of(tensors):
    return {name: np.array(t.detach().numpy(), order="C") for name, t in tensors.items()}


def peft_name(name):
    return name.replace(".default", "").replace("modules_to_save.", "")


def batch(vocab, seed):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(3, vocab, (BATCH, LENGTH))
    mask = np.zeros((BATCH, LENGTH), dtype=np.int64)
    for row, count in enumerate([LENGTH, LENGTH - 2, LENGTH - 4]):
        mask[row, :count] = 1
    tokens[mask == 0] = 0
    return torch.tensor(tokens), torch.tensor(mask)


def write(name, model, config, settings, tensors):
    metadata = {
        "origin": "testdata/models/generate.py",
        "config": json.dumps(config),
        "settings": json.dumps(settings),
    }
    save_file(tensors, HERE / f"{name}.golden.safetensors", metadata)


def adapted(model, targets, saved):
    peft = get_peft_model(
        model,
        LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=targets, modules_to_save=saved),
    )
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in sorted(peft.named_parameters()):
            if parameter.requires_grad and "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return peft


def gradients(peft, loss):
    names = [name for name, parameter in peft.named_parameters() if parameter.requires_grad]
    values = [dict(peft.named_parameters())[name] for name in names]
    return dict(zip(map(peft_name, names), torch.autograd.grad(loss, values, retain_graph=True)))


def adapter_values(peft):
    return {f"value:{peft_name(n)}": p for n, p in peft.named_parameters() if p.requires_grad}


def bert(name, activation):
    config = dict(
        model_type="bert", vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=16, type_vocab_size=2, hidden_act=activation,
        layer_norm_eps=1e-12,
    )
    model = BertForSequenceClassification(
        BertConfig(**config, num_labels=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    )
    randomise(model, 1, 0.15)
    weights = numpy_of({k: v for k, v in model.state_dict().items() if not k.endswith("position_ids")})
    save_file(weights, HERE / f"{name}.weights.safetensors", {"origin": "testdata/models/generate.py"})
    peft = adapted(model, ["query", "value", "intermediate.dense"], ["classifier"])
    tokens, mask = batch(config["vocab_size"], 2)
    labels = torch.tensor([2, 0, 1])
    loss_weights = torch.tensor([0.5, 0.3, 0.2])
    output = peft(input_ids=tokens, attention_mask=mask)
    losses = F.cross_entropy(output.logits, labels, reduction="none")
    hidden = model.bert(input_ids=tokens, attention_mask=mask).last_hidden_state
    pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    tensors = {
        "input_ids": tokens.int(), "attention_mask": mask.int(), "labels": labels.int(), "loss_weights": loss_weights,
        "losses": losses, "loss": (losses * loss_weights).sum(), "logits": output.logits,
        "embedding": F.normalize(pooled, dim=1), **adapter_values(peft),
    }
    tensors |= {f"gradient:{k}": v for k, v in gradients(peft, (losses * loss_weights).sum()).items()}
    for row in range(BATCH):
        tensors |= {f"gradient{row}:{k}": v for k, v in gradients(peft, losses[row] * loss_weights[row]).items()}
    settings = dict(rank=RANK, scaling=ALPHA / RANK, targets=["query", "value", "intermediate.dense"])
    write(name, model, config, settings, numpy_of(tensors))


def swap_rope_layout(model, config):
    """Reorders the rows of q and k so that rotating adjacent pairs gives what rotating halves gave."""
    d = config["hidden_size"] // config["num_attention_heads"]
    order = torch.arange(d).reshape(2, d // 2).T.reshape(-1)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    for key, value in state.items():
        if "q_proj" in key or "k_proj" in key:
            state[key] = value.reshape(-1, d, value.shape[1])[:, order].reshape(value.shape)
    return state


def llama(name, tied, interleaved):
    config = dict(
        model_type="llama", vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=48, max_position_embeddings=16, rms_norm_eps=1e-5,
        rope_theta=10000.0, tie_word_embeddings=tied, hidden_act="silu",
    )
    model = LlamaForCausalLM(LlamaConfig(**config, attention_dropout=0.0))
    randomise(model, 3, 0.2)
    state = swap_rope_layout(model, config) if interleaved else model.state_dict()
    if tied:
        state = {k: v for k, v in state.items() if k != "lm_head.weight"}
    save_file(numpy_of(state), HERE / f"{name}.weights.safetensors", {"origin": "testdata/models/generate.py"})
    # Adapters on q and k would have to be reordered, too, so they sit on the others.
    targets = ["v_proj", "o_proj", "down_proj"] if interleaved else ["q_proj", "v_proj", "gate_proj"]
    peft = adapted(model, targets, None)
    tokens, mask = batch(config["vocab_size"], 4)
    labels = torch.zeros_like(tokens)
    labels[:, :-1] = tokens[:, 1:]
    rng = np.random.default_rng(5)
    weights = torch.tensor(rng.uniform(0.1, 1, (BATCH, LENGTH)), dtype=torch.float32)
    weights[:, :-1] *= mask[:, 1:]
    weights[:, -1] = 0
    logits = peft(input_ids=tokens, attention_mask=mask).logits
    losses = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    position = torch.tensor([LENGTH - 1, LENGTH - 3, LENGTH - 5])
    tensors = {
        "input_ids": tokens.int(), "attention_mask": mask.int(), "labels": labels.int(), "loss_weights": weights,
        "losses": losses, "loss": (losses * weights).sum(), "position": position.int(),
        "logits": logits[torch.arange(BATCH), position], **adapter_values(peft),
    }
    tensors |= {f"gradient:{k}": v for k, v in gradients(peft, (losses * weights).sum()).items()}
    for row in range(BATCH):
        row_loss = (losses[row] * weights[row]).sum()
        tensors |= {f"gradient{row}:{k}": v for k, v in gradients(peft, row_loss).items()}
    settings = dict(rank=RANK, scaling=ALPHA / RANK, targets=targets)
    write(name, model, {**config, "rope_interleaved": interleaved}, settings, numpy_of(tensors))


if __name__ == "__main__":
    bert("bert-tiny", "gelu")
    bert("bert-tiny-tanh", "gelu_new")
    llama("llama-tied", tied=True, interleaved=False)
    llama("llama-untied", tied=False, interleaved=False)
    llama("llama-interleaved", tied=True, interleaved=True)
