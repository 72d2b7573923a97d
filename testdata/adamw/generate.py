"""Writes adamw.json: ten steps of torch.optim.AdamW with clip_grad_norm_ and a FedProx term.

Run with PyTorch (CPU): python testdata/adamw/generate.py
"""
import json
import pathlib

import torch

torch.manual_seed(7)
SHAPES = {"head.bias": [7], "lora_A": [4, 33], "lora_B": [19, 4]}
CASES = {
    "plain": dict(weightDecay=0.0, maxGradNorm=None, mu=None),
    "decay-clip": dict(weightDecay=0.1, maxGradNorm=1.0, mu=None),
    "proximal": dict(weightDecay=0.01, maxGradNorm=0.5, mu=0.3),
}
STEPS = 10
BETAS, EPS = (0.9, 0.999), 1e-8


def rate(name, step):
    return (1e-3 if name == "lora_A" else 5e-3) * (1 - step / 20)


def run(case):
    start = {name: torch.randn(shape) * 0.3 for name, shape in SHAPES.items()}
    params = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    groups = [
        {"params": [p], "weight_decay": case["weightDecay"] if p.dim() > 1 else 0.0, "name": name}
        for name, p in params.items()
    ]
    optimizer = torch.optim.AdamW(groups, betas=BETAS, eps=EPS)
    steps = []
    for step in range(STEPS):
        gradients = {name: torch.randn(shape) * 0.2 * (step % 3 + 0.5) for name, shape in SHAPES.items()}
        rates = {name: rate(name, step) for name in SHAPES}
        for group in optimizer.param_groups:
            name = group["name"]
            group["lr"] = rates[name]
            params[name].grad = gradients[name].clone()
            if case["mu"] is not None:
                params[name].grad += case["mu"] * (params[name].detach() - start[name])
        if case["maxGradNorm"] is not None:
            norm = torch.nn.utils.clip_grad_norm_(params.values(), case["maxGradNorm"]).item()
        else:
            norm = torch.nn.utils.get_total_norm([p.grad for p in params.values()]).item()
        optimizer.step()
        steps.append({"rates": rates, "gradients": flat(gradients), "gradNorm": norm, "values": flat(params)})
    state = {name: optimizer.state[p] for name, p in params.items()}
    moments = {name: {"exp_avg": s["exp_avg"].flatten().tolist(), "exp_avg_sq": s["exp_avg_sq"].flatten().tolist()}
               for name, s in state.items()}
    return {**case, "start": flat(start), "steps": steps, "moments": moments}


def flat(tensors):
    return {name: value.detach().flatten().tolist() for name, value in tensors.items()}


golden = {
    "origin": f"testdata/adamw/generate.py, torch {torch.__version__} on CPU, float32; values are exact decimals of float32",
    "shapes": SHAPES, "beta1": BETAS[0], "beta2": BETAS[1], "epsilon": EPS,
    "cases": {name: run(case) for name, case in CASES.items()},
}
pathlib.Path(__file__).with_name("adamw.json").write_text(json.dumps(golden) + "\n")
