"""Checks that Hugging Face PEFT loads an adapter folder as it is and computes the same as fedlora.

    python tests/interop/peft_check.py BASE_FOLDER ADAPTER_FOLDER EXPECTED.json [--tolerance 1e-3]

EXPECTED.json holds what fedlora computed, {"labels": [...], "cases": [{"text": ..., "logProbabilities": [...]}]}; logits
that differ by a constant per text give the same logarithms of the probabilities. Prints one JSON line with the largest
difference; exit code 1 where it is above the tolerance, 3 where a Python package is missing.

ADAPTER_FOLDER may be a merged model, a folder with a config.json: transformers then loads it without PEFT.

A base folder whose only weights file has another name than model.safetensors is read through a copy with that name.
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile

try:
    import peft
    import tokenizers
    import torch
    import transformers
except ImportError as error:
    print(f"{error.name} is not installed")
    sys.exit(3)


def with_usual_name(base: pathlib.Path, scratch: pathlib.Path) -> pathlib.Path:
    weights = list(base.glob("*.safetensors"))
    if len(weights) != 1 or weights[0].name == "model.safetensors":
        return base
    shutil.copy(base / "config.json", scratch)
    shutil.copy(weights[0], scratch / "model.safetensors")
    return scratch


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("base", type=pathlib.Path)
    parser.add_argument("adapter", type=pathlib.Path)
    parser.add_argument("expected", type=pathlib.Path)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    arguments = parser.parse_args()
    expected = json.loads(arguments.expected.read_text())
    labels = expected["labels"]
    is_merged = (arguments.adapter / "config.json").exists()
    with tempfile.TemporaryDirectory() as scratch:
        base = arguments.adapter if is_merged else with_usual_name(arguments.base, pathlib.Path(scratch))
        sizes = {} if is_merged else {"num_labels": len(labels)}
        model = transformers.BertForSequenceClassification.from_pretrained(base, torch_dtype=torch.float32, **sizes)
    if not is_merged:
        model = peft.PeftModel.from_pretrained(model, arguments.adapter)
    model.eval()
    tokenizer = tokenizers.Tokenizer.from_file(str(arguments.base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(expected.get("maxTokens", 128))
    worst = 0.0
    for case in expected["cases"]:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([tokenizer.encode(case["text"]).ids])).logits[0]
        ours = torch.tensor(case["logProbabilities"])
        worst = max(worst, (torch.log_softmax(logits, 0) - ours).abs().max().item())
    is_equal = worst <= arguments.tolerance
    print(json.dumps({"cases": len(expected["cases"]), "largestDifference": worst, "ok": is_equal, "peft": peft.__version__}))
    sys.exit(0 if is_equal and worst == worst else 1)


main()
