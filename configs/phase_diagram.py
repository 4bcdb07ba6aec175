"""Planes of sparsity and test error over the strength and one more setting.

Reproduces: no figure of the paper; the plane that its tables cut lines through (Tables 1, 3, 6):
  strength x learning rate, strength x batch size or strength x width, for Adam and SGD with L2.
Command: python -m sparsity_jax.main
  --config=configs/phase_diagram.py[:learning_rate|batch_size|width]
Runs: 60 x 40,000 steps; :learning_rate 60 x 40,000; :batch_size 60 x 40,000; :width 60 x 40,000.
  In miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 3 hours; :learning_rate 3 hours;
  :batch_size 4 hours; :width 6 hours; measured at scale 0.125: 44 minutes, with others at work on
  the same cores. H200, TPU v5e-8: not measured.
Expect: more inactive filters towards strong regularizers; at the same strength fewer with larger
  batches and with narrower networks, and far fewer with SGD than with Adam. The report draws the
  plane as figures/phase_learning_rate.png, phase_batch_size.png or phase_width.png, and PDF. In
  miniature at scale 0.125: Adam at 1e-2 and learning rate 0.01 70 % at 0.8 % error; SGD at 2e-3
  and 0.3 49 % at 2.0 %; where it is sparser still, at least 5.0 % (73 %, 1e-2 and 0.1).
"""

from collections.abc import Mapping

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import Settings, paper_sweep, product, strengths
from sparsity_jax.errors import UserError

STRENGTHS = (1e-4, 3e-4, 1e-3, 2e-3, 5e-3, 1e-2)
ADAM, SGD = strengths("adam", "l2", *STRENGTHS), strengths("sgd", "l2", *STRENGTHS)
FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)  # of the paper's learning rates: 1e-3 for Adam, 0.1 for SGD


def rates(paper: float) -> tuple[float, ...]:
    """Learning rates around the paper's, without the noise of binary fractions."""
    return tuple(float(f"{paper * factor:.6g}") for factor in FACTORS)


PLANES: Mapping[str, tuple[Settings, ...]] = {
    "learning_rate": (
        *product(ADAM, "learning_rate", rates(1e-3)),
        *product(SGD, "learning_rate", rates(0.1)),
    ),
    "batch_size": product((*ADAM, *SGD), "batch_size", (10, 20, 40, 80, 160)),
    "width": product((*ADAM, *SGD), "width", ("0.0625", "0.125", "0.25", "0.375", "0.5")),
}


def get_config(arg: str | None = None) -> ConfigDict:
    plane = arg or "learning_rate"
    if plane not in PLANES:
        known = ", ".join(PLANES)
        raise UserError(f"configs/phase_diagram.py:{arg} is not known; valid are {known}")
    config = paper_sweep("phase_diagram", None, tasks={"renderings": PLANES[plane]})
    config.name = f"phase_diagram_{plane}"
    return config
