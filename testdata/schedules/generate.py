"""Learning-rate factors of Hugging Face transformers' schedules.

Run with torch and transformers: python testdata/schedules/generate.py > testdata/schedules/golden.json
"""

import json

import torch
import transformers

CASES = [("constant_with_warmup", 3, 10), ("linear", 3, 10), ("linear", 0, 7), ("cosine", 4, 13), ("cosine", 0, 5)]


def factors(kind: str, warmup: int, total: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = transformers.get_scheduler(kind, optimizer, warmup, total)
    values = []
    for _ in range(total + 2):
        values.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    # Beyond its end a cosine of transformers rises again; a run has no step there.
    return values[: total + 1]


origin = f"transformers.get_scheduler, transformers {transformers.__version__}, torch {torch.__version__}"
cases = [
    {"kind": kind.split("_")[0], "warmupSteps": warmup, "totalSteps": total, "factors": factors(kind, warmup, total)}
    for kind, warmup, total in CASES
]
print(json.dumps({"origin": origin, "cases": cases}))
