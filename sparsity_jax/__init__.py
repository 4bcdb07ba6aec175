"""Implicit filter level sparsity in convolutional networks (Mehta, Kim, Theobalt, CVPR 2019).

Rooms: `data` (what goes in), `models` (what is trained), `optimizers` and `training` (how),
`sparsity` (what happened), `pruning` (what it buys), `storage` (what is kept), `report` (what is
shown). `python -m sparsity_jax.main --help` runs it all.
"""

__version__ = "0.1.0"
