"""Filters that Torch-Pruning's dependency groups allow to remove, beside `prune_model`'s.

Two steps, since few environments hold both libraries:
    python torch_pruning_groups.py torch groups.json     (needs torch and torch-pruning)
    python torch_pruning_groups.py jax groups.json       (needs this project; prints the table)

Both get the same masks: each filter inactive with chance 0.8. A filter of Torch-Pruning's groups
goes when it is inactive in all norms of its group.
"""

import json
import random
import sys
from pathlib import Path


def networks(torch):
    """ResNet, inverted residual and concatenation as in tests/helpers/foreign_networks.py."""
    nn = torch.nn

    def unit(inputs, out, size, groups=1):
        padding = size // 2
        return nn.Sequential(
            nn.Conv2d(inputs, out, size, padding=padding, groups=groups, bias=False),
            nn.BatchNorm2d(out),
        )

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.inner, self.outer = unit(3, 8, 3), unit(8, 8, 3), unit(8, 8, 3)
            self.head = nn.Linear(8, 5)

        def forward(self, x):
            x = torch.relu(self.stem(x))
            x = torch.relu(x + self.outer(torch.relu(self.inner(x))))
            return self.head(x.mean((2, 3)))

    class Inverted(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.expand = unit(3, 8, 3), unit(8, 24, 1)
            self.depthwise, self.project = unit(24, 24, 3, groups=24), unit(24, 8, 1)
            self.head = nn.Linear(8, 5)

        def forward(self, x):
            x = torch.relu(self.stem(x))
            y = nn.functional.relu6(self.expand(x))
            x = x + self.project(nn.functional.relu6(self.depthwise(y)))
            return self.head(x.mean((2, 3)))

    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right, self.last = unit(3, 8, 3), unit(3, 8, 1), unit(16, 8, 3)
            self.head = nn.Linear(8, 5)

        def forward(self, x):
            x = torch.cat([torch.relu(self.left(x)), torch.relu(self.right(x))], 1)
            return self.head(torch.relu(self.last(x)).mean((2, 3)))

    class Grouped(nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.grouped, self.after = unit(3, 8, 3), unit(8, 8, 3, 2), unit(8, 8, 3)
            self.head = nn.Linear(8, 5)

        def forward(self, x):
            for layer in (self.before, self.grouped, self.after):
                x = torch.relu(layer(x))
            return self.head(x.mean((2, 3)))

    found = {"residual": Residual, "inverted": Inverted, "joined": Joined, "grouped": Grouped}
    return {name: make() for name, make in found.items()}


def with_torch(path):
    import torch
    import torch_pruning as tp

    rng, found = random.Random(0), {}
    for name, model in networks(torch).items():
        graph = tp.DependencyGraph().build_dependency(model, torch.randn(1, 3, 8, 8))
        norms = {m: n[:-2] for n, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
        masks = {n: [rng.random() < 0.8 for _ in range(m.num_features)] for m, n in norms.items()}
        for mask in masks.values():
            mask[rng.randrange(len(mask))] = False
        removed = set()
        for conv in (m for m in model.modules() if isinstance(m, torch.nn.Conv2d)):
            if conv.groups == conv.in_channels > 1:
                continue  # comes with the group of its input
            for channel in range(conv.out_channels):
                group = graph.get_pruning_group(conv, tp.prune_conv_out_channels, idxs=[channel])
                members = {
                    (norms[dep.target.module], int(place))
                    for dep, places in group
                    if dep.target.module in norms
                    for place in places
                }
                if members and all(masks[norm][place] for norm, place in members):
                    removed |= members
        count = {name: sum(norm == name for norm, _ in removed) for name in masks}
        found[name] = {"masks": masks, "removed": count}
    Path(path).write_text(json.dumps(found))


def with_jax(path):
    import jax
    import numpy as np
    from flax import linen as nn

    from sparsity_jax.pruning import prune_model

    def unit(x, name, out, size, groups=1):
        options = {"feature_group_count": groups, "use_bias": False, "name": f"{name}_conv"}
        x = nn.Conv(out, (size, size), **options)(x)
        return nn.BatchNorm(use_running_average=True, name=name)(x)

    def residual(x):
        x = nn.relu(unit(x, "stem", 8, 3))
        return nn.relu(x + unit(nn.relu(unit(x, "inner", 8, 3)), "outer", 8, 3))

    def inverted(x):
        x = nn.relu(unit(x, "stem", 8, 3))
        y = nn.relu6(unit(nn.relu6(unit(x, "expand", 24, 1)), "depthwise", 24, 3, 24))
        return x + unit(y, "project", 8, 1)

    def joined(x):
        sides = [nn.relu(unit(x, "left", 8, 3)), nn.relu(unit(x, "right", 8, 1))]
        return nn.relu(unit(jax.numpy.concatenate(sides, -1), "last", 8, 3))

    def grouped(x):
        for name, groups in (("before", 1), ("grouped", 2), ("after", 1)):
            x = nn.relu(unit(x, name, 8, 3, groups))
        return x

    class Net(nn.Module):
        body: object

        @nn.compact
        def __call__(self, x):
            return nn.Dense(5)(self.body(x).mean((1, 2)))

    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    bodies = {"residual": residual, "inverted": inverted, "joined": joined, "grouped": grouped}
    print("network    norm        inactive   Torch-Pruning   prune_model")
    for name, found in json.loads(Path(path).read_text()).items():
        model = Net(bodies[name])
        variables = model.init(jax.random.key(0), images)
        variables["params"] = jax.tree.map(lambda x: x + 0.1, variables["params"])
        masks = {norm: np.array(mask) for norm, mask in found["masks"].items()}
        ours = prune_model(model.apply, variables, masks, images).removed
        for norm, mask in masks.items():
            theirs = found["removed"][norm]
            print(f"{name:10} {norm:10} {mask.sum():9} {theirs:15} {ours.get(norm, 0):13}")


if __name__ == "__main__":
    {"torch": with_torch, "jax": with_jax}[sys.argv[1]](sys.argv[2])
