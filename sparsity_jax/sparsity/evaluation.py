"""A model as a function of its variables and images, in evaluation mode."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from flax import nnx

from sparsity_jax.errors import UserError

ApplyFn = Callable[[Any, Any], Any]

MODES = {
    "deterministic": True,
    "inference": True,
    "is_training": False,
    "train": False,
    "training": False,
    "use_running_average": True,
}


@dataclasses.dataclass(frozen=True)
class NnxEvaluation:
    """Run of an NNX module in evaluation mode, as a function of (state, images).

    Two of them are equal if their modules are built alike.

    Attributes:
      graph: the module without its arrays.
    """

    graph: Any

    def __call__(self, state: Any, images: Any) -> Any:
        """Run the module that has this state."""
        return run_in_evaluation_mode(nnx.merge(self.graph, state), images)


def evaluation(apply_fn: Any) -> ApplyFn:
    """Return a function of (variables, images); an NNX module becomes one, in evaluation mode.

    Example:
      >>> evaluation(len) is len
      True
    """
    return NnxEvaluation(nnx.graphdef(apply_fn)) if isinstance(apply_fn, nnx.Module) else apply_fn


def run_in_evaluation_mode(model: nnx.Module, images: Any) -> Any:
    """Call an NNX module on images; a required `train` or the like says evaluation.

    Raises:
      UserError: its call requires other arguments.

    Example:
      >>> from flax import nnx
      >>> run_in_evaluation_mode(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), np.ones((4, 3))).shape
      (4, 2)
    """
    call: Any = model
    extra = list(inspect.signature(call).parameters.values())[1:]
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [p for p in extra if p.default is inspect.Parameter.empty and p.kind not in kinds]
    if unknown := [p.name for p in required if p.name not in MODES]:
        raise UserError(
            f"the module's call requires {', '.join(unknown)}; give a function of (state, images) "
            "instead, such as lambda state, images: nnx.merge(graphdef, state)(images, ...)"
        )
    model.eval()
    positional = inspect.Parameter.POSITIONAL_ONLY
    before = [MODES[p.name] for p in required if p.kind is positional]
    return call(
        images, *before, **{p.name: MODES[p.name] for p in required if p.kind != positional}
    )
