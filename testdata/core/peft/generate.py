"""Writes cases.json: what PEFT matches, saves and writes as adapter_config.json for tiny random models.

Run with torch, transformers 4.57 and peft 0.21 (no download is made): python generate.py
"""

import json
import pathlib
import tempfile

import peft
import torch
import transformers
from peft import LoraConfig, TaskType, get_peft_model
from safetensors import safe_open

torch.manual_seed(0)

# Patterns are listed in sorted order: PEFT sorts them when it saves, and the first match counts when it loads.


def bert():
    return transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=20, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=12,
            max_position_embeddings=16, num_labels=3,
        )
    )


def llama():
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=20, hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, tie_word_embeddings=False,
        )
    )


def linears(model):
    return [[n, m.in_features, m.out_features] for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]


SEQ, LM = TaskType.SEQ_CLS, TaskType.CAUSAL_LM
CASES = [
    ("bert", "list", dict(r=4, lora_alpha=8, target_modules=["query", "value"], task_type=SEQ)),
    ("bert", "longer suffix", dict(r=4, lora_alpha=8, target_modules=["output.dense"], task_type=SEQ)),
    ("bert", "suffix is no substring", dict(r=4, lora_alpha=8, target_modules=["dense"], task_type=SEQ)),
    ("bert", "whole name", dict(r=2, lora_alpha=3, target_modules=["bert.encoder.layer.1.attention.self.key"], task_type=SEQ)),
    ("bert", "regex", dict(r=4, lora_alpha=8, target_modules=r".*layer\.[02]\..*\.(query|key)", task_type=SEQ)),
    ("bert", "named group", dict(r=4, lora_alpha=8, target_modules=r"bert\.encoder\.layer\.(?P<i>\d+)\.intermediate\.dense", task_type=SEQ)),
    ("bert", "all-linear", dict(r=2, lora_alpha=4, target_modules="all-linear", task_type=SEQ)),
    ("bert", "layers", dict(r=4, lora_alpha=8, target_modules=["query"], layers_to_transform=[0, 2], task_type=SEQ)),
    ("bert", "layers and a whole name", dict(r=4, lora_alpha=8, target_modules=["query", "bert.encoder.layer.1.attention.self.value", "bert.pooler.dense"], layers_to_transform=[0], task_type=SEQ)),
    ("bert", "no layers listed", dict(r=4, lora_alpha=8, target_modules=["query"], layers_to_transform=[], task_type=SEQ)),
    ("bert", "rank pattern", dict(r=4, lora_alpha=8, target_modules=["query", "value"], rank_pattern={"query": 2, r"layer.1.attention.self.value": 6, r"layer\.\d+\.attention.self.value": 3}, alpha_pattern={r"self\.query": 5}, task_type=SEQ)),
    ("bert", "pattern is no substring", dict(r=4, lora_alpha=8, target_modules=["dense"], rank_pattern={"attention.output.dense": 5, "intermediate.dense": 2, "output.dense": 3}, task_type=SEQ)),
    ("bert", "rslora and dropout", dict(r=9, lora_alpha=6, use_rslora=True, lora_dropout=0.1, target_modules=["query"], task_type=SEQ)),
    ("bert", "modules to save", dict(r=4, lora_alpha=8, target_modules=["query"], modules_to_save=["classifier"], task_type=SEQ)),
    ("llama", "list", dict(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type=LM)),
    ("llama", "regex", dict(r=4, lora_alpha=8, target_modules=r"model\.layers\.\d+\.mlp\.(up|down)_proj", task_type=LM)),
    ("llama", "all-linear", dict(r=2, lora_alpha=4, target_modules="all-linear", task_type=LM)),
    ("llama", "layers", dict(r=4, lora_alpha=8, target_modules=["gate_proj", "o_proj"], layers_to_transform=[1], task_type=LM)),
    ("llama", "rank pattern", dict(r=4, lora_alpha=8, target_modules=["k_proj", "q_proj"], rank_pattern={"^model.layers.0.self_attn.q_proj": 7}, alpha_pattern={"k_proj|q_proj": 3.5}, use_rslora=True, task_type=LM)),
]

cases = []
for family, title, options in CASES:
    base = bert() if family == "bert" else llama()
    model = get_peft_model(base, LoraConfig(base_model_name_or_path="tiny", **options))
    modules = [
        [name.removeprefix("base_model.model."), m.r["default"], m.lora_alpha["default"], m.scaling["default"]]
        for name, m in model.named_modules()
        if isinstance(m, peft.tuners.lora.LoraLayer)
    ]
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads((pathlib.Path(folder) / "adapter_config.json").read_text())
        with safe_open(pathlib.Path(folder) / "adapter_model.safetensors", "pt") as file:
            tensors = sorted([name, list(file.get_slice(name).get_shape())] for name in file.keys())
    for key in ("target_modules", "modules_to_save"):
        if isinstance(config[key], list):
            config[key].sort()
    cases.append(dict(family=family, title=title, config=config, modules=modules, tensors=tensors))

out = dict(
    origin=f"testdata/core/peft/generate.py, peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}",
    linears=dict(bert=linears(bert()), llama=linears(llama())),
    cases=cases,
)
lines = json.dumps(out, separators=(",", ":"))
pathlib.Path(__file__).with_name("cases.json").write_text(lines + "\n")
