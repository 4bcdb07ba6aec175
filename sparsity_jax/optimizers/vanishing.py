"""Limit up to which L2 lets the gamma of a dead filter vanish; beyond, it swings for ever."""

from sparsity_jax.optimizers.table import find


def vanishing_limit(name: str) -> float | None:
    r"""Learning rate times strength below which L2 takes a gamma without gradient to 0 for good.

    Where the loss pulls no more, the gradient is :math:`\lambda\gamma`. Once that is far below the
    rule's :math:`\epsilon`, a step is :math:`-(\eta/\epsilon)` times its running mean:

    .. math::
        \gamma_{t+1} = \big(1 + \beta_1 - (1 - \beta_1)\, \eta\lambda/\epsilon\big)\, \gamma_t
        - \beta_1 \gamma_{t-1},

    gradient descent with momentum, which converges to 0 exactly if

    .. math::
        \eta\lambda < 2\, \epsilon\, (1 + \beta_1) / (1 - \beta_1).

    Adam then loses a decade every 44 steps, unless the product is below a thousandth of the limit.
    Beyond the limit 0 repels: a gradient of 1e-20 is enough, and gamma swings between signs, in
    the long run by up to about half the learning rate.

    Args:
      name: One of ``OPTIMIZERS``.

    Returns:
      The limit for Adam, Adamax (3.8e-7) and RMSprop (2e-8, it has no momentum). None for the
      others: AMSGrad and Adagrad remember their largest or all gradients, SGD and Adadelta do not
      enlarge small ones, so a gamma fades by a fixed share a step, as under weight decay.

    Raises:
      UserError: The name is unknown.

    Example:
      >>> vanishing_limit("adam")  # the paper's 1e-3 times 1e-4 is below, 1e-3 times 1e-3 is not
      3.8e-07

    Not in the paper. The bound of momentum on a quadratic: Polyak 1964.
    """
    rule = find(name).rule
    if name not in ("adam", "adamax", "rmsprop"):
        return None
    eps, b1 = rule.keywords["eps"], rule.keywords.get("b1", 0.0)
    return float(f"{2 * eps * (1 + b1) / (1 - b1):.3g}")
