"""Write oracle.npz: sparsity and universality of one small network, computed by PyTorch.

An independent answer for test_oracle.py: other framework, other layout, no streaming, no masks.
Made with PyTorch 2.13.0 (CPU), which the project itself does not need:

    python tests/sparsity/make_oracle.py
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

IMAGES, SIZE = 53, 12
FILTERS = (6, 8)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, FILTERS[0], 5, padding=2, bias=False),
        nn.BatchNorm2d(FILTERS[0]),
        nn.Identity(),  # the activation goes here
        nn.MaxPool2d(2),
        nn.Conv2d(FILTERS[0], FILTERS[1], 3, padding=1, bias=False),
        nn.BatchNorm2d(FILTERS[1]),
        nn.Identity(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(FILTERS[1], 4),
    ).eval()


def randomise(net: nn.Sequential) -> None:
    """Norms of every kind: alive, dead (gamma 0, beta < 0), constant, rare, sign-flipped."""
    torch.manual_seed(3)
    with torch.no_grad():
        for conv, norm in ((net[0], net[1]), (net[4], net[5])):
            conv.weight *= 2
            norm.running_mean.normal_(0, 0.2)
            norm.running_var.uniform_(0.2, 1.5)
            norm.weight.uniform_(0.3, 1.2)
            norm.bias.uniform_(-0.6, 0.1)
            norm.weight[0], norm.bias[0] = 0.0, -0.2  # dead
            norm.weight[1], norm.bias[1] = 5e-4, 0.3  # small gamma, answers to everything
            norm.weight[2] *= -1
            norm.bias[3] = -1.0  # answers to few images
            norm.weight[4], norm.bias[4] = 5e-4, -0.2  # small gamma, never answers


def pooled(net: nn.Sequential, images: torch.Tensor, activation: nn.Module) -> dict:
    net[2] = net[6] = activation
    found, x = {}, images
    with torch.no_grad():
        for index, layer in enumerate(net):
            x = layer(x)
            if index in (2, 6):
                found["C1" if index == 2 else "C2"] = x.abs().amax(dim=(2, 3)).double()
    return found


def universality(values: torch.Tensor) -> np.ndarray:
    """Percent of images by the definition, one filter and one image after another."""
    percent = []
    for filter_values in values.T:
        top = max(float(v) for v in filter_values)
        hits = sum(float(v) / top > 1e-3 for v in filter_values) if top > 0 else 0
        percent.append(100.0 * hits / len(filter_values))
    return np.array(percent)


def main() -> None:
    net = network()
    randomise(net)
    images = torch.randn(IMAGES, 3, SIZE, SIZE)
    images *= torch.rand(IMAGES, 1, 1, 1) * 2  # some images are faint: few filters answer
    out = {"torch": np.array(torch.__version__), "images": images.permute(0, 2, 3, 1).numpy()}
    for name, conv, norm in (("C1", net[0], net[1]), ("C2", net[4], net[5])):
        out[f"{name}/conv/kernel"] = conv.weight.detach().permute(2, 3, 1, 0).numpy()
        out[f"{name}/norm/scale"] = norm.weight.detach().numpy()
        out[f"{name}/norm/bias"] = norm.bias.detach().numpy()
        out[f"{name}/norm/mean"] = norm.running_mean.numpy()
        out[f"{name}/norm/var"] = norm.running_var.numpy()
    out["F1/dense/kernel"] = net[9].weight.detach().T.numpy()
    out["F1/dense/bias"] = net[9].bias.detach().numpy()
    for kind, activation in (("relu", nn.ReLU()), ("leaky", nn.LeakyReLU(0.1))):
        for name, values in pooled(net, images, activation).items():
            out[f"{kind}/{name}/peak"] = values.amax(dim=0).numpy()
            out[f"{kind}/{name}/inactive"] = (values <= 1e-12).all(dim=0).numpy()
            out[f"{kind}/{name}/universality"] = universality(values)
    arrays = {key: np.ascontiguousarray(value) for key, value in out.items()}
    np.savez_compressed(Path(__file__).with_name("oracle.npz"), **arrays)
    for key in arrays:
        if key.endswith(("inactive", "universality")):
            print(key, arrays[key])


if __name__ == "__main__":
    main()
