"""Sparsity by optimizer and regularizer: the main grid of the paper.

Reproduces: Table 1 (Sec. 2.2): BasicNet on CIFAR10 and CIFAR100, four optimizers with L2 and two
  with weight decay over a range of strengths, and without a regularizer.
Command: python -m sparsity_jax.main --config=configs/table1.py[:cifar10|cifar100|renderings]
Runs: 210 x 406,250 steps; :cifar10 105 x 406,250; :cifar100 105 x 406,250; :renderings 42 x 40,000.
  In miniature give --config.scale=0.125, a shortened run: 42 x 5,000 steps and every claim.
Time: 2 CPU cores, estimated from the time of a step: 109 days; :cifar10 54 days; :cifar100 54 days;
  :renderings 2 hours, measured at scale 0.125: 17 minutes.
  H200, TPU v5e-8: not measured.
Expect: CIFAR10 / CIFAR100, % inactive by gamma at % test error: Adam L2 1e-4 70 / 47 at 10.5 /
  36.6; Adam WD 1e-4 40 / 3 at 11.2 / 36.2; SGD L2 1e-3 27 / 23 at 21.8 / 47.1; without a
  regularizer 0. In miniature at scale 0.125 (one seed): Adam L2 1e-2, 2e-3, 1e-3: 56, 34, 28 at
  0.3 to 0.7; Adam WD 1e-2, 1e-3: 23, 4; SGD L2 2e-3: 3. Shortened runs pass and fail no claim;
  their evidence says what they would: 20 pass, 9 fail (batch 80 is sparser than 40 there, and SGD
  WD 1e-2 sparser late than early), 13 are not testable.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, strengths

GRID = (
    *strengths("sgd", "l2", 2e-3, 1e-3, 5e-4, 2e-4, 1e-4, 1e-5),
    *strengths("sgd", "none"),
    *strengths("adam", "l2", 1e-2, 2e-3, 1e-3, 1e-4, 1e-5, 1e-6),
    *strengths("adam", "none"),
    *strengths("adadelta", "l2", 1e-2, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4),
    *strengths("adagrad", "l2", 2e-2, 1e-2, 5e-3, 1e-3, 1e-4),
    *strengths("sgd", "wd", 1e-2, 1e-3, 5e-4, 2e-4, 1e-4),
    *strengths("adam", "wd", 1e-2, 1e-3, 5e-4, 2e-4, 1e-4),
)
# In miniature, one run more for each claim that the paper makes by other tables.
CLAIMS = (
    *strengths("amsgrad", "l2", 1e-3),
    *strengths("adam", "l2", 1e-3, negative_slope=0.01),
    *strengths("adam", "l2", 1e-3, gamma_lr_scale=0.1),
    *strengths("adam", "l2", 1e-3, beta_init=1.0),
    *strengths("adam", "l2", 1e-3, batch_size=80),
    *strengths("adam", "l2", 1e-3, width="0.125"),
    *strengths("adam", "l2", 1e-3, **{"renderings.background": "cluttered"}),
)


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"cifar10": GRID, "cifar100": GRID, "renderings": (*GRID, *CLAIMS)}
    return paper_sweep("table1", arg, tasks=tasks)
