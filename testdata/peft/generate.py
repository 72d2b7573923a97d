"""Tiny base models, adapters made and saved by Hugging Face PEFT, and what transformers and PEFT compute with them.

Run with torch, transformers, tokenizers and peft: python testdata/peft/generate.py

bert/: a classifier with three labels; adapter `plain` (query and value), adapter `patterns` (all linear modules, ranks
and alphas by pattern, rank-stabilised). llama/: a decoder with grouped-query attention; adapter `plain`.
golden.json: ids and logits per text; for the decoder the sum of the losses over the completion's tokens; the losses of a
training with every setting of ours, whose adapters are in the folders `trained`.
"""

import json
import pathlib
import shutil

import peft
import tokenizers
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

HERE = pathlib.Path(__file__).parent
WORDS = "the a mail offer meeting free money now click lunch project report win prize today is was not very good bad".split()
TEXTS = [
    "free money now",
    "The project meeting is today",
    "click",
    "win a prize, click the offer now! " * 6,
    "not very good",
    "",
]
PAIRS = [
    ["the meeting", " is today"],
    ["free", " money now click the offer"],
    ["a report was", " not very good"],
    ["", "win a prize"],
]


def save_tokenizer(folder: pathlib.Path, template: str, special: list[str]) -> Tokenizer:
    pieces = special + WORDS + list("abcdefghijklmnopqrstuvwxyz,.!") + ["##" + c for c in "abcdefghijklmnopqrstuvwxyz"]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    ids = [(token, vocabulary[token]) for token in special]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    tokenizer.add_special_tokens(special)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


def randomize(model: torch.nn.Module) -> None:
    """PEFT starts B at zero and fresh models are nearly linear; both would hide mistakes."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = 0.5 if "norm" in name.lower() else 0.3
            offset = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            parameter.copy_(offset + scale * torch.randn_like(parameter))


def save_adapter(model: peft.PeftModel, folder: pathlib.Path) -> None:
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    # The path of the machine that made it says nothing to others.
    config = folder / "adapter_config.json"
    fields = json.loads(config.read_text())
    config.write_text(json.dumps(fields | {"base_model_name_or_path": "../base"}, indent=2) + "\n")


def load(kind: type, base: pathlib.Path) -> transformers.PreTrainedModel:
    return kind.from_pretrained(base, num_labels=3) if "Sequence" in kind.__name__ else kind.from_pretrained(base)


def bert() -> dict:
    base = HERE / "bert" / "base"
    tokenizer = save_tokenizer(base, "[CLS] $A [SEP]", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=24,
        max_position_embeddings=64,
        hidden_dropout_prob=0,
        attention_probs_dropout_prob=0,
    )
    model = transformers.BertModel(config)
    randomize(model)
    model.save_pretrained(base)
    configs = {
        "plain": peft.LoraConfig(task_type="SEQ_CLS", r=4, lora_alpha=6, target_modules=["query", "value"]),
        "patterns": peft.LoraConfig(
            task_type="SEQ_CLS",
            r=2,
            lora_alpha=3,
            target_modules="all-linear",
            rank_pattern={"query": 3, "layer.1.output.dense": 5},
            alpha_pattern={"layer.0.attention.self.key": 7},
            use_rslora=True,
        ),
    }
    goldens = {}
    for name, lora in configs.items():
        adapted = peft.get_peft_model(load(transformers.BertForSequenceClassification, base), lora)
        for key, parameter in adapted.named_parameters():
            if "lora_" in key or "modules_to_save" in key:
                parameter.data = (2 if "modules_to_save" in key else 0.4) * torch.randn_like(parameter)
        adapted.eval()
        save_adapter(adapted, HERE / "bert" / name)
        with torch.no_grad():
            logits = [adapted(input_ids=torch.tensor([tokenizer.encode(text).ids])).logits[0].tolist() for text in TEXTS]
        goldens[name] = logits
    return {"texts": TEXTS, "ids": [tokenizer.encode(text).ids for text in TEXTS], "logits": goldens}


def llama() -> dict:
    base = HERE / "llama" / "base"
    tokenizer = save_tokenizer(base, "<s> $A", ["<pad>", "[UNK]", "<s>", "</s>"])
    config = transformers.LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=2,
        eos_token_id=3,
        tie_word_embeddings=False,
    )
    model = transformers.LlamaForCausalLM(config)
    randomize(model)
    model.save_pretrained(base)
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=5, target_modules=["q_proj", "v_proj", "down_proj"])
    adapted = peft.get_peft_model(load(transformers.LlamaForCausalLM, base), lora)
    for key, parameter in adapted.named_parameters():
        if "lora_" in key:
            parameter.data = 0.3 * torch.randn_like(parameter)
    adapted.eval()
    save_adapter(adapted, HERE / "llama" / "plain")
    examples = []
    for prompt, completion in PAIRS:
        ids = tokenizer.encode(prompt + completion).ids + [3]
        start = len(tokenizer.encode(prompt).ids)
        with torch.no_grad():
            logits = adapted(input_ids=torch.tensor([ids])).logits[0]
        losses = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none")
        examples.append(
            {
                "prompt": prompt,
                "completion": completion,
                "ids": ids,
                "targetStart": start,
                "lossSum": losses[start - 1 :].double().sum().item(),
                "lossSumAll": losses.double().sum().item(),
            }
        )
    prompt = "the meeting is"
    ids = torch.tensor([tokenizer.encode(prompt).ids])
    written = adapted.generate(input_ids=ids, max_new_tokens=40, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
    written = written[: (written == 3).nonzero()[0, 0]] if (written == 3).any() else written
    return {"examples": examples, "generated": {"prompt": prompt, "ids": written.tolist()}}


SETTINGS = {
    "steps": 5,
    "learningRate": 0.02,
    "headLearningRate": 0.005,
    "loraPlusRatio": 4,
    "weightDecay": 0.1,
    "maxGradNorm": 0.5,
    "warmupSteps": 2,
    "totalSteps": 10,
    "proximalMu": 0.3,
}


def train(adapted: peft.PeftModel, loss_of, schedule: str, folder: pathlib.Path) -> list[float]:
    """AdamW on full batches, second half of a run of ten steps: returns the losses, saves the adapter."""
    groups = {"lora_A": 1, "lora_B": SETTINGS["loraPlusRatio"], "modules_to_save": 0}
    parameters = []
    for name, parameter in adapted.named_parameters():
        if not parameter.requires_grad:
            continue
        ratio = next(value for key, value in groups.items() if key in name)
        rate = SETTINGS["learningRate"] * ratio if ratio else SETTINGS["headLearningRate"]
        decay = SETTINGS["weightDecay"] if parameter.dim() > 1 else 0.0
        parameters.append({"params": [parameter], "lr": rate, "weight_decay": decay})
    trained = [group["params"][0] for group in parameters]
    anchors = [parameter.detach().clone() for parameter in trained]
    optimizer = torch.optim.AdamW(parameters, betas=(0.9, 0.999), eps=1e-8)
    scheduler = transformers.get_scheduler(schedule, optimizer, SETTINGS["warmupSteps"], SETTINGS["totalSteps"])
    for _ in range(SETTINGS["totalSteps"] - SETTINGS["steps"]):
        optimizer.step()  # Without gradients: only the schedule moves.
        scheduler.step()
    losses = []
    for _ in range(SETTINGS["steps"]):
        loss = loss_of()
        losses.append(loss.item())
        pull = sum(((p - anchor) ** 2).sum() for p, anchor in zip(trained, anchors))
        (loss + SETTINGS["proximalMu"] / 2 * pull).backward()
        torch.nn.utils.clip_grad_norm_(trained, SETTINGS["maxGradNorm"])
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
    save_adapter(adapted, folder)
    (folder / "adapter_config.json").unlink()
    return losses


def train_bert(goldens: dict) -> dict:
    base = load(transformers.BertForSequenceClassification, HERE / "bert" / "base")
    adapted = peft.PeftModel.from_pretrained(base, HERE / "bert" / "plain", is_trainable=True)
    labels = [2, 0, 2, 2, 1, 0]

    def loss_of() -> torch.Tensor:
        rows = [adapted(input_ids=torch.tensor([ids])).logits for ids in goldens["ids"]]
        return torch.nn.functional.cross_entropy(torch.cat(rows), torch.tensor(labels))

    return {"labels": labels, "losses": train(adapted, loss_of, "cosine", HERE / "bert" / "trained")}


def train_llama(goldens: dict) -> dict:
    base = load(transformers.LlamaForCausalLM, HERE / "llama" / "base")
    adapted = peft.PeftModel.from_pretrained(base, HERE / "llama" / "plain", is_trainable=True)

    def loss_of() -> torch.Tensor:
        losses = []
        for example in goldens["examples"]:
            ids = example["ids"]
            logits = adapted(input_ids=torch.tensor([ids])).logits[0]
            every = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none")
            losses.append(every[example["targetStart"] - 1 :])
        return torch.cat(losses).mean()

    return {"losses": train(adapted, loss_of, "linear", HERE / "llama" / "trained")}


def main() -> None:
    torch.manual_seed(11)
    for name in ("bert", "llama"):
        shutil.rmtree(HERE / name, ignore_errors=True)
    origin = f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"
    origin += f", tokenizers {tokenizers.__version__}; generate.py beside this file"
    golden = {"origin": origin, "bert": bert(), "llama": llama()}
    golden["training"] = {"settings": SETTINGS, "bert": train_bert(golden["bert"]), "llama": train_llama(golden["llama"])}
    (HERE / "llama" / "base" / "generation_config.json").unlink()
    (HERE / "golden.json").write_text(json.dumps(golden) + "\n")
    for path in HERE.rglob("*.safetensors"):
        path.chmod(0o644)


main()
