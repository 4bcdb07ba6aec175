"""Write the .pt files of test_audit.py with PyTorch 2.13.0, which the project does not need.

python tests/audit/make_torch_files.py
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent


def network() -> nn.Module:
    """Two convolutions with norms and a dense layer with one; names as in a ConvNet plan."""
    torch.manual_seed(0)
    net = nn.ModuleDict(
        {
            "C1": nn.ModuleDict(
                {"conv": nn.Conv2d(3, 4, 3, bias=False), "norm": nn.BatchNorm2d(4)}
            ),
            "C2": nn.ModuleDict(
                {"conv": nn.Conv2d(4, 6, 3, bias=False), "norm": nn.BatchNorm2d(6)}
            ),
            "F1": nn.ModuleDict({"dense": nn.Linear(6, 5), "norm": nn.BatchNorm1d(5)}),
        }
    )
    with torch.no_grad():
        net["C1"]["norm"].weight.copy_(torch.tensor([1.0, 1e-4, -2.0, 0.0]))
        net["C2"]["norm"].weight.copy_(torch.tensor([0.5, -9e-4, 1.1e-3, 0.0, 3.0, -0.0]))
        net["F1"]["norm"].weight.zero_()  # a dense layer's: not counted
    return net


def main() -> None:
    net = network()
    torch.save(net.state_dict(), HERE / "state_dict.pt")
    old = {"_use_new_zipfile_serialization": False}  # as before PyTorch 1.6
    torch.save(net.state_dict(), HERE / "legacy.pt", **old)
    wrapped = {"epoch": 3, "model": net.state_dict(), "optimizer": {"lr": [0.1], "state": {}}}
    torch.save(wrapped, HERE / "wrapped.pth")
    state = net.state_dict()
    beside = {"args": argparse.Namespace(lr=0.1), "loss": np.float64(1.5), "model_ema": state}
    torch.save({"state_dict": state, **beside}, HERE / "beside.ckpt")
    torch.jit.script(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))).save(HERE / "script.pt")
    torch.save(net.to(torch.bfloat16).state_dict(), HERE / "bfloat16.pt")
    torch.save(net, HERE / "whole_module.pt")


if __name__ == "__main__":
    main()
