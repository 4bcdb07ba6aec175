"""Networks as plans, and the one Linen module that builds them."""

from sparsity_jax.models.convnet import ConvNet
from sparsity_jax.models.networks import NETWORKS, basicnet, make_plan, vgg
from sparsity_jax.models.plans import Conv, Plan

__all__ = ["NETWORKS", "Conv", "ConvNet", "Plan", "basicnet", "make_plan", "vgg"]
