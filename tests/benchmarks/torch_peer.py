"""The same training in PyTorch, as a process of its own that takes steps when told to.

    python tests/benchmarks/torch_peer.py cpu|cuda

A process of its own, so that neither framework's threads, libraries or memory get in the other's
way, and so that PyTorch may live in another environment (`--torch_python`): this file needs torch
and numpy only. Orders come in as lines of JSON and are answered likewise; see `peers.py`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Steps = Callable[[int], None]  # takes that many steps and waits for the last


def make_net(torch: Any, plan: dict[str, Any]) -> Any:
    """A plan (`Plan.to_dict`) with global pooling and plain ReLU, in PyTorch."""
    layers, inputs = [], plan["input_shape"][2]
    for conv in plan["convs"]:
        filters = conv["filters"]
        layers += [
            torch.nn.Conv2d(inputs, filters, conv["kernel"], padding="same", bias=False),
            torch.nn.BatchNorm2d(filters),
            torch.nn.ReLU(),
        ]
        layers += [torch.nn.MaxPool2d(2)] if conv["pool"] else []
        inputs = filters
    (hidden,) = plan["dense"]
    head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    head += [torch.nn.Linear(inputs, hidden, bias=False), torch.nn.BatchNorm1d(hidden)]
    last = torch.nn.Linear(hidden, plan["classes"])
    return torch.nn.Sequential(*layers, *head, torch.nn.ReLU(), last)


def make_steps(torch: Any, order: dict[str, Any], device: str) -> Steps:
    """Channels last, fused Adam, data on the device; eager or compiled, then with CUDA graphs."""
    plan, batch, graphs = order["plan"], order["batch"], order["compiled"] and device == "cuda"
    net = make_net(torch, plan).to(device).to(memory_format=torch.channels_last)
    rule = torch.optim.Adam(net.parameters(), 1e-3, (0.9, 0.99), weight_decay=1e-3, fused=True)
    shape = (order["images"], *plan["input_shape"])
    x = torch.randint(256, shape, dtype=torch.uint8, device=device)
    y = torch.randint(plan["classes"], shape[:1], device=device)

    def loss_of(x: Any, y: Any) -> Any:
        x = (x.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5  # channels last by its strides
        return torch.nn.functional.cross_entropy(net(x), y)

    if order["compiled"]:
        mode = "reduce-overhead" if graphs else None
        loss_of = torch.compile(loss_of, dynamic=False, mode=mode)

    def steps(count: int) -> None:
        for _ in range(count):
            # Drawn outside of what is compiled: a graph would copy the whole data set in.
            chosen = torch.randint(len(x), (batch,), device=device)
            if graphs:
                torch.compiler.cudagraph_mark_step_begin()
            loss_of(x[chosen], y[chosen]).backward()
            rule.step()
            rule.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()

    return steps


def greeting(device: str) -> tuple[Any, dict[str, str]]:
    """torch, made ready, and what there is to say of it: its version, or why it cannot be used."""
    try:
        import torch
    except ImportError:
        return None, {"failed": "PyTorch is not installed"}
    if device == "cuda":
        if not torch.cuda.is_available():
            return None, {"failed": "PyTorch finds no NVIDIA GPU"}
        torch.set_float32_matmul_precision("high")  # TF32; cuDNN's convolutions have it anyway
        torch.backends.cudnn.benchmark = True
    else:
        torch.set_num_threads(os.cpu_count() or 1)
    version = ".".join(map(str, sys.version_info[:3]))
    return torch, {"version": f"torch {torch.__version__} (Python {version})"}


def answer(torch: Any, order: dict[str, Any], built: dict[str, Steps], device: str) -> dict:
    """Build a net by name, or time some steps of it."""
    try:
        if "plan" in order:
            built[order["name"]] = make_steps(torch, order, device)
            return {}
        start = time.perf_counter()
        built[order["name"]](order["steps"])
        return {"seconds": time.perf_counter() - start}
    except Exception as error:  # whatever it is, the table says so instead of ending
        return {"failed": f"{type(error).__name__}: {error}"[:200]}


def main() -> None:
    """Answer until there is nothing more to read."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what compilers print belongs to stderr
    device = sys.argv[1]
    torch, hello = greeting(device)
    print(json.dumps(hello), file=replies, flush=True)
    built: dict[str, Steps] = {}
    for line in sys.stdin if torch else ():
        print(json.dumps(answer(torch, json.loads(line), built, device)), file=replies, flush=True)


if __name__ == "__main__":
    main()
