"""L2 regularization and weight decay: the same transforms in another order."""

import jax
import optax
from jax.typing import ArrayLike

from sparsity_jax.optimizers import schedules
from sparsity_jax.optimizers.table import check_choice, check_not_negative, find
from sparsity_jax.optimizers.transforms import add_sign_of_gamma, scale_gamma_and_beta

REGULARIZERS: tuple[str, ...] = ("none", "l2", "wd")
WD_MODES: tuple[str, ...] = ("schedule", "constant", "lr")


def make_optimizer(
    name: str,
    learning_rate: float | jax.Array,
    regularizer: str,
    strength: float | jax.Array,
    *,
    schedule: schedules.Schedule | None = None,
    gamma_lr_scale: float | jax.Array = 1.0,
    beta_lr_scale: float | jax.Array = 1.0,
    wd_mode: str = "schedule",
    gamma_l1: float | jax.Array | None = None,
) -> optax.GradientTransformation:
    r"""An optimizer of the paper with no regularizer, L2, or weight decay.

    With :math:`R` the rule, :math:`\eta` the base learning rate, :math:`s_t` the schedule and
    :math:`\lambda` the strength,

    .. math::
        \text{none:} \quad & \theta \leftarrow \theta - \eta s_t R(g) \\
        \text{l2:}   \quad & \theta \leftarrow \theta - \eta s_t R(g + \lambda \theta) \\
        \text{wd:}   \quad & \theta \leftarrow (1 - d_t)\, \theta - \eta s_t R(g), \qquad
        d_t = \lambda s_t,\ \lambda,\ \eta s_t \lambda
        \text{ for wd\_mode schedule, constant, lr}

    Every parameter is regularised, gamma, beta and biases included. ``gamma_lr_scale`` and
    ``beta_lr_scale`` multiply :math:`\eta` for gamma and beta, like a PyTorch parameter group
    with its own rate. So they scale the decay that L2 causes (it passes through the step) and
    weight decay in mode ``lr`` (it contains :math:`\eta`); weight decay in modes ``schedule`` and
    ``constant`` has no :math:`\eta` in it and is the same for every parameter.

    Args:
      name: One of ``OPTIMIZERS``.
      learning_rate: The base rate :math:`\eta`, per step.
      regularizer: One of ``REGULARIZERS``.
      strength: The strength :math:`\lambda`; unused for ``none``.
      schedule: Completed steps -> multiplier of the learning rate, 1.0 at step 0; none means
        constant. The steps are counted in the optimizer's state.
      gamma_lr_scale: Multiplies the learning rate of gamma (leaves named ``scale``).
      beta_lr_scale: Multiplies the learning rate of beta (``bias`` beside a ``scale``).
      wd_mode: One of ``WD_MODES``: ``schedule`` follows the learning-rate drops, ``constant``
        is the literal sentence of the paper, ``lr`` is AdamW. Unused unless ``wd``.
      gamma_l1: Strength of an L1 penalty on gamma, which joins its gradient (Network Slimming, a
        baseline); None leaves the penalty out.

    Returns:
      A transformation from gradients to what is added to the parameters. The five numbers may
      be traced: the structure of its state does not depend on them.

    Raises:
      UserError: An unknown name, or a number known to be negative or not finite.

    Example:
      >>> optimizer = make_optimizer("adam", 1e-3, "wd", 1e-2)
      >>> gamma = jnp.array(1.0)
      >>> update, _ = optimizer.update(jnp.array(0.0), optimizer.init(gamma), gamma)
      >>> print(round(float(gamma + update), 4))
      0.99

    Paper: Sec. 2.1, "L2 regularization vs. Weight Decay". There the parameter decays *after* the
    update; here it decays before it, as in PyTorch's AdamW and in optax. One step differs by
    :math:`d_t\, \eta s_t R(g)`, the decay of that step's update. After 5,000 steps of Adam the
    parameters differ by 1.0 % at :math:`\lambda` = 1e-2, 0.10 % at 1e-3 and 0.04 % at 1e-4.
    """
    check_choice("regularizer", regularizer, REGULARIZERS)
    check_choice("wd_mode", wd_mode, WD_MODES)
    check_not_negative(
        learning_rate=learning_rate,
        strength=strength,
        gamma_lr_scale=gamma_lr_scale,
        beta_lr_scale=beta_lr_scale,
        gamma_l1=0.0 if gamma_l1 is None else gamma_l1,
    )
    multiplier = schedules.constant if schedule is None else schedule

    rule = find(name).rule()
    step = optax.chain(
        optax.scale_by_learning_rate(lambda count: learning_rate * multiplier(count)),
        scale_gamma_and_beta(gamma_lr_scale, beta_lr_scale),
    )
    decay = optax.add_decayed_weights

    def scheduled(count: ArrayLike) -> jax.Array:
        return -strength * multiplier(count)

    # The paper's contrast is where the decay stands. Before the rule it is L2: the rule rescales
    # it. After the step it is weight decay: nothing rescales it, and it carries the minus sign
    # that the step gives to everything on its left. In between it is AdamW.
    match regularizer, wd_mode:
        case "none", _:
            transforms = (rule, step)
        case "l2", _:
            transforms = (decay(strength), rule, step)
        case "wd", "schedule":
            transforms = (rule, step, decay(scheduled))
        case "wd", "constant":
            transforms = (rule, step, decay(-strength))
        case _:
            transforms = (rule, decay(strength), step)
    slimming = () if gamma_l1 is None else (add_sign_of_gamma(gamma_l1),)
    return optax.chain(*slimming, *transforms)
