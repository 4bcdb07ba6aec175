"""Launchers: many processes, perhaps on many machines, train one grid.

Each trains one share of the grid's groups into the common workdir, by the same command with another
`--share=I/N`. `local` and `ray` run the shares and try again those that crash; `slurm` and `jobset`
write the file with which a cluster's own scheduler does so. `python -m sparsity_jax.launch --help`.
"""
