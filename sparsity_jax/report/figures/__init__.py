"""The figures of reports and of the paper.

registry: the figures of a workdir as data, and how they reach the disk; numbered: the paper's by
number (`python -m sparsity_jax.report figure N`); style: colours, marks, sizes, light and dark.

What is drawn where, in brackets the paper's number: network (1) · gamma_beta (2) and final_norms
(S1) · universality (3, S2) and universality_by_batch (5) · low_gradient (4, S3) · pictures (S4) ·
curves: training · tradeoff: sparsity against error · layers: by layer, before and after pruning ·
filters: alive over training · speedup: time · phase, of planes with contours: strength and one more
setting · calibration: the candidates around the published row. labels: words beside points.
"""
