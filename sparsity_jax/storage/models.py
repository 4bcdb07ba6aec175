"""Networks on disk, brought back by one call: the plan beside the weights.

A pruned network has other shapes than the one it came from, so weights alone would not load.
`plan.json` holds the plan, a digest of every array of `weights.npz`, and one of itself; nothing is
pickled.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from sparsity_jax.errors import UserError
from sparsity_jax.models import Plan
from sparsity_jax.storage.io import array_digest, signed, verified, write_atomically, write_json


def save_model(folder: Path, plan: Plan, variables: Mapping[str, Any]) -> None:
    """Write a network into a folder as plan.json and weights.npz.

    Args:
      folder: made if there is none; what stands there is replaced.
      plan: the network.
      variables: its 'params' and 'batch_stats', as `ConvNet(plan).init` gives them.

    Raises:
      OSError: it cannot be written.

    Example:
      >>> import tempfile
      >>> from sparsity_jax.models import basicnet
      >>> plan = basicnet(classes=10, input_shape=(32, 32, 3))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save_model(Path(folder), plan, {'params': {'w': np.ones(2)}})
      ...     found, variables = load_model(Path(folder))
      >>> found == plan, variables['params']['w']
      (True, array([1., 1.]))
    """
    leaves = flatten_dict(dict(variables), sep="/")
    arrays = {name: np.asarray(leaf) for name, leaf in leaves.items()}
    weights = io.BytesIO()
    np.savez(weights, **arrays)  # pyright: ignore[reportArgumentType]
    content = {
        "plan": plan.to_dict(),
        "arrays": {name: array_digest(array) for name, array in arrays.items()},
    }
    # The plan is written last: without it, or with another's, weights are refused.
    write_atomically(folder / "weights.npz", weights.getvalue())
    write_json(folder / "plan.json", signed(content))


def load_model(folder: Path) -> tuple[Plan, dict[str, Any]]:
    """Read a network that `save_model` wrote.

    Returns:
      (plan, variables with numpy leaves), ready for `ConvNet(plan).apply`.

    Raises:
      UserError: a file is missing, damaged, or of another network; it is named.
    """
    try:
        content = verified(json.loads((folder / "plan.json").read_text()))
        plan, saved = Plan.from_dict(content["plan"]), content["arrays"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{folder / 'plan.json'} is missing or damaged ({error}); give a folder with plan.json "
            "and weights.npz, such as runs/<run>/pruned"
        ) from None
    arrays = _arrays(folder / "weights.npz")
    if set(arrays) != set(saved):
        raise UserError(f"{folder / 'weights.npz'} does not belong to its plan.json")
    for name, array in arrays.items():
        if array_digest(array) != saved[name]:
            raise UserError(f"{folder / 'weights.npz'}: array {name} is not what was saved")
    return plan, unflatten_dict(arrays, sep="/")


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # a damaged zip raises many kinds
        raise UserError(f"{path} is missing or damaged ({error})") from None
