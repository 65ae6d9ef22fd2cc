"""Any backbone of the package timm that gives feature maps, with the phone's decoder."""

import importlib
import logging
from types import ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

from p2o_train.config import NetworkConfig
from p2o_train.network.pyramid import PyramidBody
from points2objects.errors import InputError
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)

STRIDES = (4, 8, 16, 32)

QUANTISES_BADLY = ("silu", "swish", "gelu", "mish", "selu", "celu", "squeezeexcite", "semodule")
"""Parts of the names of layers that lose much in int8, or run slowly there."""


class TimmBody(PyramidBody):
    """A backbone of timm with the decoder.

    Args:
        config: Which backbone, and whether it starts from its pretrained weights.
        spec: To compare its normalisation with the weights'.

    Raises:
        InputError: timm or the backbone is missing, or it has no maps at strides 4 to 32.
    """

    def __init__(self, config: NetworkConfig, spec: ModelSpec) -> None:
        backbone = TimmBackbone(config)
        super().__init__(backbone, backbone.channels, config.decoder_channels)
        _warn(config, spec, backbone)


class TimmBackbone(nn.Module):
    """Image -> maps at strides 4, 8, 16 and 32."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.model = _create(config)
        info = self.model.feature_info
        finest = {stride: index for index, stride in enumerate(info.reduction())}
        missing = [stride for stride in STRIDES if stride not in finest]
        if missing:
            raise InputError(
                f"--network.backbone timm:{config.timm_name}: has maps at strides "
                f"{info.reduction()}, but those at {missing} are needed; choose a convolutional "
                "network such as timm:mobilenetv2_100"
            )
        self.taps = tuple(finest[stride] for stride in STRIDES)
        self.channels = tuple(info.channels()[tap] for tap in self.taps)
        self.freeze_norm = config.freeze_norm

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps at strides 4, 8, 16 and 32 of a normalised image (b, 3, h, w)."""
        maps: list[Tensor] = self.model(x)
        return [maps[tap] for tap in self.taps]

    def train(self, mode: bool = True) -> "TimmBackbone":
        """Switch the mode, but leave frozen statistics alone."""
        super().train(mode)
        if self.freeze_norm:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


def _create(config: NetworkConfig) -> Any:
    timm = _import_timm(config)
    try:
        return timm.create_model(config.timm_name, features_only=True, pretrained=config.pretrained)
    except (RuntimeError, OSError, ValueError, AttributeError, AssertionError) as error:
        hint = ", or pass --network.no-pretrained" if config.pretrained else ""
        raise InputError(
            f"--network.backbone timm:{config.timm_name}: timm cannot make it with feature maps "
            f"({error}); see timm.list_models(){hint}"
        ) from error


def _import_timm(config: NetworkConfig) -> ModuleType:
    try:
        return importlib.import_module("timm")
    # RuntimeError: a torchvision that was built for another torch.
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"--network.backbone timm:{config.timm_name}: timm cannot be imported ({error}); run "
            "pip install timm torchvision, or take --network.backbone mobile"
        ) from error


def _warn(config: NetworkConfig, spec: ModelSpec, backbone: TimmBackbone) -> None:
    kinds = {type(module).__name__ for module in backbone.modules()}
    bad = sorted(kind for kind in kinds if any(word in kind.lower() for word in QUANTISES_BADLY))
    if bad:
        log.warning(
            "timm:%s holds %s, which lose much when quantised to int8; a phone wants ReLU and no "
            "squeeze-excite", config.timm_name, ", ".join(bad),
        )  # fmt: skip
    values = getattr(backbone.model, "pretrained_cfg", None) or {}
    for name, own in (("mean", spec.mean), ("std", spec.std)):
        theirs = tuple(255 * value for value in values.get(name, ()))
        if config.pretrained and len(theirs) == 3 and not np.allclose(theirs, own, atol=1):
            shown = " ".join(f"{value:.1f}" for value in theirs)
            log.warning("timm:%s learned with --%s %s", config.timm_name, name, shown)
