"""Make `oracle.npz`: a few training steps of a small network in PyTorch, an independent oracle.

Run with PyTorch 2.13.0 (CPU): python tests/training/make_oracle.py
Network: conv 3x3 (1 -> 4) + BatchNorm + ReLU + 2x2 max pool, conv 3x3 (4 -> 6) + BatchNorm + ReLU,
global average pool, linear (6 -> 5, no bias) + BatchNorm + ReLU, linear (5 -> 3).
Adam (lr 1e-3, betas 0.9, 0.99, eps 1e-8, weight_decay 1e-2), four steps of eight images each.
Weights are stored in the layout of JAX (HWIO, inputs x outputs).
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn


def build() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU(),
        nn.Linear(5, 3),
    ).double()  # fmt: skip


PLACES = {0: "C1/conv", 1: "C1/norm", 4: "C2/conv", 5: "C2/norm", 9: "F1/dense", 10: "F1/norm",
          12: "F2/dense"}  # fmt: skip


def export(model: nn.Sequential) -> dict[str, np.ndarray]:
    leaves = {}
    for index, place in PLACES.items():
        for name, value in model[index].named_parameters():
            array = value.detach().numpy().copy()
            if array.ndim == 4:
                array = array.transpose(2, 3, 1, 0)
            elif array.ndim == 2:
                array = array.T
            leaf = {"weight": "scale" if "norm" in place else "kernel", "bias": "bias"}[name]
            leaves[f"{place}/{leaf}"] = array
    return leaves


def main() -> None:
    model = build()
    images = np.random.default_rng(1).normal(size=(4, 8, 8, 8, 1))
    labels = np.random.default_rng(2).integers(0, 3, size=(4, 8))
    arrays = {"images": images, "labels": labels}
    arrays |= {f"before/{name}": leaf for name, leaf in export(model).items()}
    rule = torch.optim.Adam(model.parameters(), 1e-3, (0.9, 0.99), 1e-8, weight_decay=1e-2)
    losses = []
    for batch, truth in zip(images, labels, strict=True):
        rule.zero_grad()
        logits = model(torch.from_numpy(batch.transpose(0, 3, 1, 2)))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(truth))
        loss.backward()
        rule.step()
        losses.append(loss.item())
    arrays |= {f"after/{name}": leaf for name, leaf in export(model).items()}
    for index, place in PLACES.items():
        if "norm" in place:
            arrays[f"mean/{place}"] = model[index].running_mean.numpy()
    np.savez_compressed(Path(__file__).with_name("oracle.npz"), losses=losses, **arrays)


if __name__ == "__main__":
    main()
