"""Make `oracle.npz`: pooling, strided convolution, divided BatchNorm and padding in PyTorch.

Run with PyTorch 2.13.0 (CPU): python tests/models/make_oracle.py
Arrays are in the layout of JAX (NHWC, HWIO); every operation has its output, and the gradients of
sum(output * weights) in float64.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

POOLS = {
    "max2": lambda x: functional.max_pool2d(x, 2),
    "max3": lambda x: functional.max_pool2d(x, 3, stride=2),
    "max3_padded": lambda x: functional.max_pool2d(x, 3, stride=2, padding=1),
    "avg2": lambda x: functional.avg_pool2d(x, 2),
}
PARTS = 4


def nhwc(x: torch.Tensor) -> np.ndarray:
    return x.detach().permute(0, 2, 3, 1).numpy().copy()


def nchw(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x).permute(0, 3, 1, 2).clone().requires_grad_()


def pulled(y: torch.Tensor, rng: np.random.Generator) -> np.ndarray:
    """Draw the weights of the outputs and pull them back."""
    weights = rng.normal(size=nhwc(y).shape)
    (y * nchw(weights).detach()).sum().backward()
    return weights


def main() -> None:
    rng, arrays = np.random.default_rng(0), {}
    for size in (8, 9):
        # Few different values: ties, of which the first must get the gradient.
        x = rng.integers(-2, 3, size=(3, size, 10, 5)).astype(np.float64)
        arrays[f"pool{size}/x"] = x
        for kind, pool in POOLS.items():
            leaf = nchw(x)
            y = pool(leaf)
            arrays[f"pool{size}/{kind}/weights"] = pulled(y, rng)
            arrays[f"pool{size}/{kind}/y"] = nhwc(y)
            arrays[f"pool{size}/{kind}/dx"] = nhwc(leaf.grad)
        for k in (3, 5):
            leaf, kernel = nchw(rng.normal(size=x.shape)), rng.normal(size=(k, k, 5, 4))
            w = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()).requires_grad_()
            y = functional.conv2d(leaf, w, stride=2, padding=(k - 1) // 2)
            name = f"conv{size}/{k}"
            arrays[f"{name}/x"], arrays[f"{name}/kernel"] = nhwc(leaf), kernel
            arrays[f"{name}/weights"] = pulled(y, rng)
            arrays[f"{name}/y"], arrays[f"{name}/dx"] = nhwc(y), nhwc(leaf.grad)
            arrays[f"{name}/dkernel"] = w.grad.permute(2, 3, 1, 0).numpy()
    norm = nn.BatchNorm2d(5).double().train()
    with torch.no_grad():
        norm.weight.copy_(torch.from_numpy(rng.normal(size=5)))
        norm.bias.copy_(torch.from_numpy(rng.normal(size=5)))
    leaf = nchw(rng.normal(size=(8, 4, 4, 5)) * 2 + 1)
    # DataParallel: every device normalises its part; the first one's running statistics stay.
    first, *others = leaf.chunk(PARTS)
    ys = [norm(first)]
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    ys += [norm(part) for part in others]
    y = torch.cat(ys)
    n = first[:, 0].numel()
    arrays["norm/weights"] = pulled(y, rng)
    arrays |= {"norm/x": nhwc(leaf), "norm/y": nhwc(y), "norm/dx": nhwc(leaf.grad)}
    arrays |= {
        "norm/gamma": norm.weight.detach().numpy(),
        "norm/beta": norm.bias.detach().numpy(),
        "norm/dgamma": norm.weight.grad.numpy(),
        "norm/dbeta": norm.bias.grad.numpy(),
        "norm/mean": mean.numpy(),
        # PyTorch keeps the unbiased variance, this package the biased one.
        "norm/var": ((var - 0.9) * (n - 1) / n + 0.9).numpy(),
    }
    images = rng.integers(0, 256, size=(2, 8, 8, 3)).astype(np.uint8)
    padded = functional.pad(torch.from_numpy(images).permute(0, 3, 1, 2), (3, 3, 3, 3))
    arrays |= {"pad/images": images, "pad/padded": nhwc(padded)}
    np.savez_compressed(Path(__file__).with_name("oracle.npz"), **arrays)


if __name__ == "__main__":
    main()
