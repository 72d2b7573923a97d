"""Writes the tiny training artifacts that the runtime's tests open, and golden.json with PyTorch's gradients.

Run with onnx, numpy and PyTorch: python testdata/engine/generate.py

toy: a bag of token embeddings h, one frozen linear layer with a LoRA adapter, squared error against a target row:
  y = h W^T + s (h A^T) B^T,  loss = sum_b lossWeights_b * |y_b - targets[labels_b]|^2 / 2
toy-per-example: the same with a leading batch dimension on A and B.  toy-evaluate: forward only.
slow: a chain of matrix products of half a second or more, to see what happens meanwhile.
wide: a quick step whose gradient has a megabyte, to see that memory does not grow.
"""
import hashlib
import json
import pathlib
import struct

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

HERE = pathlib.Path(__file__).parent
B, T, V, D, K, R = 3, 4, 11, 6, 5, 2
random = np.random.default_rng(5)
WEIGHTS = {
    "embeddings": random.normal(size=(V, D)).astype(np.float32),
    "linear.weight": random.normal(size=(K, D)).astype(np.float32),
    "targets": random.normal(size=(K, K)).astype(np.float32),
}
A_NAME, B_NAME = "base_model.model.linear.lora_A.weight", "base_model.model.linear.lora_B.weight"


def write_weights():
    """safetensors with every tensor at a multiple of 64 bytes; returns the absolute offsets."""
    entries, data = {}, b""
    for name, value in sorted(WEIGHTS.items()):
        data += b"\0" * (-len(data) % 64)
        entries[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + value.nbytes]}
        data += value.tobytes()
    header = json.dumps(entries).encode()
    header += b" " * (-(8 + len(header)) % 64)
    (HERE / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    return {name: 8 + len(header) + entry["data_offsets"][0] for name, entry in entries.items()}


OFFSETS = write_weights()


def external(name):
    value = WEIGHTS[name]
    tensor = TensorProto(name=name, dims=value.shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, entry in (("location", "weights.safetensors"), ("offset", OFFSETS[name]), ("length", value.nbytes)):
        tensor.external_data.add(key=key, value=str(entry))
    return tensor


def write(folder, purpose, privacy, inputs, outputs, nodes, weights, constants=(), **extra):
    types = {"F32": TensorProto.FLOAT, "I32": TensorProto.INT32}
    info = lambda ports: [helper.make_tensor_value_info(p["name"], types[p["dtype"]], p["shape"]) for p in ports]
    graph = helper.make_graph(nodes, folder, info(inputs), info(outputs), [external(w) for w in weights] + list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path = HERE / folder
    path.mkdir(exist_ok=True)
    data = model.SerializeToString()
    graph_file = "evaluate.onnx" if purpose == "evaluate" else "step.onnx"
    (path / graph_file).write_bytes(data)
    manifest = {
        "format": "fedlora-artifact/1",
        "key": hashlib.sha256(folder.encode()).hexdigest(),
        "request": {
            "baseModelHash": "0" * 64, "family": "toy", "config": {}, "purpose": purpose, "task": {"kind": "embedding"},
            "batch": B, "length": T, "adapted": [{"name": "linear", "rank": R, "trained": purpose == "train"}],
            "modulesToSave": [], "privacy": privacy, "memory": "plain", "dropout": False, "baseDeltaRank": 0,
        },
        "opset": 21, "graphFile": graph_file, "graphHash": hashlib.sha256(data).hexdigest(),
        "inputs": inputs, "outputs": outputs,
        "weights": [{"name": w, "dtype": "F32", "shape": list(WEIGHTS[w].shape)} for w in weights],
        "flops": 1000, "activationBytes": 10000, "disabledOptimizers": [], **extra,
    }
    (path / "artifact.json").write_text(json.dumps(manifest, indent=1) + "\n")


def port(name, role, dtype, shape, tensor=None):
    return {"name": name, "role": role, "dtype": dtype, "shape": list(shape), **({"tensor": tensor} if tensor else {})}


def constant(name, values):
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def toy(folder, purpose="train", per_example=False):
    node = helper.make_node
    lead = (B,) if per_example else ()
    inputs = [
        port("tokens", "tokens", "I32", (B, T)), port("labels", "labels", "I32", (B,)),
        port("loss_weights", "loss-weights", "F32", (B,)),
        port("a", "adapter", "F32", (*lead, R, D), A_NAME), port("b", "adapter", "F32", (*lead, K, R), B_NAME),
        port("s", "scaling", "F32", (), "linear"),
    ]
    swap = [0, 2, 1] if per_example else [1, 0]
    nodes = [
        node("Gather", ["embeddings", "tokens"], ["rows"]),
        node("ReduceMean", ["rows", "axis1"], ["h2"], keepdims=0),
        node("Unsqueeze", ["h2", "axis1"], ["h"]) if per_example else node("Identity", ["h2"], ["h"]),
        node("Transpose", ["linear.weight"], ["wt"], perm=[1, 0]), node("MatMul", ["h", "wt"], ["frozen"]),
        node("Transpose", ["a"], ["at"], perm=swap), node("MatMul", ["h", "at"], ["u"]),
        node("Transpose", ["b"], ["bt"], perm=swap), node("MatMul", ["u", "bt"], ["v"]),
        node("Mul", ["v", "s"], ["sv"]), node("Add", ["frozen", "sv"], ["y"]),
        node("Gather", ["targets", "labels"], ["goal2"]),
        node("Unsqueeze", ["goal2", "axis1"], ["goal"]) if per_example else node("Identity", ["goal2"], ["goal"]),
        node("Sub", ["y", "goal"], ["e"]), node("Mul", ["e", "e"], ["ee"]),
        node("ReduceSum", ["ee", "tail"], ["sums"], keepdims=0),
        node("Mul", ["sums", "half"], ["losses"]), node("Mul", ["losses", "loss_weights"], ["weighted"]),
        node("ReduceSum", ["weighted", "axis0"], ["loss"], keepdims=0),
    ]
    outputs = [port("loss", "loss", "F32", ()), port("losses", "losses", "F32", (B,))]
    constants = [
        constant("axis0", [0]), constant("axis1", [1]), constant("tail", [1, 2] if per_example else [1]),
        helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]),
    ]
    if purpose == "train":
        nodes += [
            node("Reshape", ["loss_weights", "column"], ["lw"]), node("Mul", ["e", "lw"], ["ew"]),
            node("Mul", ["ew", "s"], ["dv"]), node("Transpose", ["dv"], ["dvt"], perm=swap),
            node("MatMul", ["dvt", "u"], ["grad_b"]), node("MatMul", ["dv", "b"], ["du"]),
            node("Transpose", ["du"], ["dut"], perm=swap), node("MatMul", ["dut", "h"], ["grad_a"]),
        ]
        constants.append(constant("column", [B, 1, 1] if per_example else [B, 1]))
        outputs += [
            port("grad_a", "gradient", "F32", (*lead, R, D), A_NAME),
            port("grad_b", "gradient", "F32", (*lead, K, R), B_NAME),
        ]
    privacy = "per-example" if per_example else "none"
    write(folder, purpose, privacy, inputs, outputs, nodes, list(WEIGHTS), constants)


def slow(folder, size=1024, count=30):
    nodes = [helper.make_node("Expand", ["x", "shape"], ["m0"])]
    for i in range(count):
        nodes.append(helper.make_node("MatMul", [f"m{i}", "m0"], [f"m{i + 1}"]))
    nodes.append(helper.make_node("ReduceMean", [f"m{count}"], ["loss"], keepdims=0))
    nodes.append(helper.make_node("Mul", ["x", "x"], ["grad_x"]))
    write(
        folder, "train", "none", [port("x", "adapter", "F32", (1, 1), "x")],
        [port("loss", "loss", "F32", ()), port("grad_x", "gradient", "F32", (1, 1), "x")], nodes, [],
        [constant("shape", [size, size])], flops=2 * count * size**3,
    )


def wide(folder, size=512):
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["loss"], keepdims=0),
        helper.make_node("Mul", ["x", "factor"], ["grad_x"]),
    ]
    factor = helper.make_tensor("factor", TensorProto.FLOAT, [], [2 / size**2])
    write(
        folder, "train", "none", [port("x", "adapter", "F32", (size, size), "x")],
        [port("loss", "loss", "F32", ()), port("grad_x", "gradient", "F32", (size, size), "x")], nodes, [], [factor],
    )


def golden():
    tokens = random.integers(0, V, (B, T)).astype(np.int32)
    labels = random.integers(0, K, (B,)).astype(np.int32)
    loss_weights = np.array([0.5, 0.25, 0.75], np.float32)
    a, b, s = random.normal(size=(R, D)).astype(np.float32), random.normal(size=(K, R)).astype(np.float32), 1.5
    weights = {name: torch.tensor(value) for name, value in WEIGHTS.items()}
    A, Bm = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    h = weights["embeddings"][tokens.astype(np.int64)].mean(1)
    y = h @ weights["linear.weight"].T + s * (h @ A.T) @ Bm.T
    losses = ((y - weights["targets"][labels.astype(np.int64)]) ** 2).sum(1) / 2
    loss = (losses * torch.tensor(loss_weights)).sum()
    loss.backward()
    flat = lambda value: np.asarray(value).flatten().tolist()
    result = {
        "origin": f"testdata/engine/generate.py, torch {torch.__version__}, onnx {onnx.__version__}",
        "tensors": {A_NAME: {"shape": [R, D], "values": flat(a)}, B_NAME: {"shape": [K, R], "values": flat(b)}},
        "scaling": s, "tokens": flat(tokens), "labels": flat(labels), "lossWeights": flat(loss_weights),
        "loss": loss.item(), "losses": flat(losses.detach()),
        "gradients": {A_NAME: flat(A.grad), B_NAME: flat(Bm.grad)},
        "gradNorm": torch.sqrt((A.grad**2).sum() + (Bm.grad**2).sum()).item(),
    }
    (HERE / "golden.json").write_text(json.dumps(result) + "\n")


toy("toy")
toy("toy-per-example", per_example=True)
toy("toy-evaluate", purpose="evaluate")
slow("slow")
wide("wide")
golden()
