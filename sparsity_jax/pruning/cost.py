"""Storage and computation that a network costs."""

from __future__ import annotations

import dataclasses
import itertools
import math

from sparsity_jax.errors import UserError
from sparsity_jax.models.plans import Plan


@dataclasses.dataclass(frozen=True)
class Cost:
    """Size of a network.

    Attributes:
      filters: convolution filters.
      conv_params: convolution weights alone, what the paper counts.
      params: all trainable numbers: convolutions, dense layers, biases, gammas and betas.
      macs: multiply-accumulates of convolutions and dense layers for one image.
      bytes: float32 parameters and running statistics, as saved; 0 where a file does not tell.
    """

    filters: int
    conv_params: int
    params: int
    macs: int
    bytes: int = 0

    def to_dict(self) -> dict[str, int]:
        """Return the five numbers by name, for JSON."""
        return dataclasses.asdict(self)


def cost(plan: Plan) -> Cost:
    """Count filters, parameters and multiply-accumulates of a plan.

    macs = sum over l of height_l * width_l * k_l^2 * in_l * out_l + sum of dense in * out,
    height_l and width_l those of the convolution's output, before pooling.

    Additions of BatchNorm, pooling and biases are left out of `macs`, as usual.

    Args:
      plan: the network.

    Example:
      >>> from sparsity_jax.models import basicnet
      >>> found = cost(basicnet(classes=10, input_shape=(32, 32, 3)))
      >>> found.conv_params, round(found.macs / 1e9, 3)
      (4649664, 0.175)
    """
    hidden = sum(plan.dense)
    widths = plan.dense_widths
    dense = sum(a * b for a, b in itertools.pairwise(widths))
    params = plan.conv_params + 2 * plan.filters + dense + 2 * hidden + plan.classes
    statistics = 2 * (plan.filters + hidden)
    return Cost(
        filters=plan.filters,
        conv_params=plan.conv_params,
        params=params,
        macs=_conv_macs(plan) + dense,
        bytes=4 * (params + statistics),
    )


def params_pruned_pct(plan: Plan, smaller: Plan) -> float:
    """Convolution weights removed, in percent of the dense network's ("% Param Pruned").

    100 * (1 - sum of k^2 * kept_in * kept_out / sum of k^2 * in * out)

    Counts convolution weights only, removed filters and the inputs they fed alike; dense layers and
    norms stay out (how the published numbers of Tables 2 and S1 come about).

    Args:
      plan: the network before pruning.
      smaller: the network after pruning.

    Raises:
      UserError: `smaller` is not a pruned version of `plan`.

    Example:
      >>> half = plan.with_filters([conv.filters // 2 for conv in plan.convs])
      >>> round(params_pruned_pct(plan, half), 1)
      69.8
    """
    kernels, smaller_kernels = ([conv.kernel for conv in p.convs] for p in (plan, smaller))
    if kernels != smaller_kernels or smaller.conv_params > plan.conv_params:
        raise UserError(f"the second plan is not a pruned version of the {plan.name} plan")
    return 100.0 * (1.0 - smaller.conv_params / plan.conv_params)


def _conv_macs(plan: Plan) -> int:
    return sum(
        math.prod(shape) * conv.kernel**2 * inputs
        for shape, conv, inputs in zip(plan.conv_shapes, plan.convs, plan.conv_inputs, strict=True)
    )
