"""Write the layers of public architectures with the convolution that feeds each norm.

Needs torch, torchvision and timm, which the project does not:

    python tests/helpers/make_architectures.py tests/audit/architectures.json.xz [NAME ...]

The truth is taken by forward hooks: a norm is fed by a convolution if its input is the very tensor
that the convolution returned. A norm of a sum, a concatenation or an activation is fed by none.
"""

import json
import lzma
import sys
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from torch import nn

TORCHVISION = (
    "resnet18", "resnet34", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "densenet121",
    "densenet161", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "efficientnet_b0",
    "efficientnet_v2_s", "inception_v3", "googlenet", "vgg11_bn", "vgg16_bn", "shufflenet_v2_x1_0",
    "mnasnet1_0", "regnet_x_400mf", "regnet_y_400mf", "deeplabv3_mobilenet_v3_large",
    "fcn_resnet50", "lraspp_mobilenet_v3_large", "r3d_18", "mc3_18", "r2plus1d_18",
)  # fmt: skip
TIMM = (
    "resnet26d", "resnetv2_50", "seresnet50", "ecaresnet26t", "skresnet18", "resnest14d",
    "res2net50_26w_4s", "efficientnet_b0", "mixnet_s", "mobilenetv3_small_100",
    "mobilenetv4_conv_small", "ghostnet_100", "hrnet_w18_small", "dla34", "dpn48b", "dpn68",
    "xception41", "legacy_xception", "inception_v4", "inception_resnet_v2", "nasnetalarge",
    "pnasnet5large", "cspresnet50", "cspdarknet53", "darknet53", "ese_vovnet19b_dw", "rexnet_100",
    "tresnet_m", "repvgg_a0", "mobileone_s0", "fastvit_t8", "selecsls42", "hardcorenas_a",
    "fbnetc_100", "lcnet_050", "tinynet_a", "semnasnet_075", "spnasnet_100", "mobilevit_xxs",
    "coatnet_nano_rw_224", "efficientformer_l1", "regnetx_002", "regnety_002", "gernet_s",
    "eca_botnext26ts_256", "hgnet_tiny", "hgnetv2_b0", "repghostnet_050", "efficientvit_b0",
    "efficientvit_m0", "starnet_s1", "ghostnetv2_100", "swiftformer_xs",
)  # fmt: skip


def model(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    library, _, own = name.partition("/")
    if library == "timm":
        net = timm.create_model(own, pretrained=False)
        about = net.pretrained_cfg
        size = about.get("input_size", (3, 224, 224))[1] if about.get("fixed_input_size") else 160
        return net, (1, 3, size, size)
    extra: dict[str, Any] = {"weights": None}
    if own in ("googlenet", "inception_v3"):
        extra |= {"init_weights": False, "aux_logits": True}
    if own.startswith(("deeplab", "fcn", "lraspp")):
        extra["weights_backbone"] = None
    video = own.endswith("_18")
    return torchvision.models.get_model(own, **extra), (2, 3, 4, 32, 32) if video else (
        2,
        3,
        128,
        128,
    )


def is_norm(module: nn.Module) -> bool:
    return hasattr(module, "running_var") and getattr(module, "weight", None) is not None


def feeds(net: nn.Module, size: tuple[int, ...]) -> dict[str, str | None]:
    """Norm -> the convolution or dense layer that feeds it, of those norms that are called."""
    names = {module: name for name, module in net.named_modules()}
    made: dict[int, str] = {}
    kept: list[Any] = []  # no id may be used twice
    found: dict[str, set[str | None]] = {}
    for module in net.modules():
        if is_norm(module):
            module.register_forward_pre_hook(
                lambda m, inputs: found.setdefault(names[m], set()).add(made.get(id(inputs[0])))
            )
        elif getattr(module, "weight", None) is not None and module.weight.ndim >= 2:

            def note(m: nn.Module, _: Any, output: Any) -> None:
                kept.append(output)
                made[id(output)] = names[m]

            module.register_forward_hook(note)
    with torch.no_grad():
        net.eval()(torch.randn(*size))
    return {name: next(iter(each)) if len(each) == 1 else None for name, each in found.items()}


def layers(name: str) -> list[list[Any]]:
    """[path, kernel's shape] of each kernel, [path, channels, feed] of each norm, in file order."""
    net, size = model(name)
    fed = feeds(net, size)
    norms = {path for path, module in net.named_modules() if is_norm(module)}
    rows = []
    for key, tensor in net.state_dict().items():
        path, _, leaf = key.rpartition(".")
        if path in norms and leaf == "weight":
            rows.append([path, tensor.numel(), fed.get(path, "not called")])
        elif path not in norms and leaf == "weight" and tensor.ndim >= 2:
            rows.append([path, list(tensor.shape)])
    return rows


def main(target: str, *wanted: str) -> None:
    torch.manual_seed(0)
    every = [f"torchvision/{n}" for n in TORCHVISION] + [f"timm/{n}" for n in TIMM]
    found = {name: layers(name) for name in wanted or every if not print(name, flush=True)}
    Path(target).write_bytes(lzma.compress(json.dumps(found).encode()))


if __name__ == "__main__":
    main(*sys.argv[1:])
