"""YOLOX-Nano: a detector that has seen the photographs of COCO, with its own head.

Ge et al., YOLOX (2021): CSPDarknet with depthwise convolutions, a path-aggregation pyramid and a
decoupled head at strides 8, 16 and 32. The batch norms are folded into the convolutions, as in the
published ONNX file that the weights are read from. Two things are written differently and compute
the same: the first layer's regrouping of 2x2 pixels is a 6x6 convolution with stride 2, and RGB
takes the place of BGR.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from points2objects.errors import InputError
from points2objects.geometry import FloatArray

TAP_CHANNELS = (32, 64, 128, 256)
"""Of the maps at strides 4 (backbone), 8, 16 and 32 (pyramid)."""
HEAD_WIDTH = 64
COCO_CLASSES = 80


class Conv(nn.Module):
    """Convolution, bias and SiLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride, (kernel - 1) // 2, groups=groups
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, out_channels, h / stride, w / stride)."""
        return F.silu(self.conv(x), inplace=True)


class SeparableConv(nn.Sequential):
    """Depthwise 3x3, then 1x1, each with SiLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(
            Conv(in_channels, in_channels, 3, stride, groups=in_channels),
            Conv(in_channels, out_channels),
        )


class Bottleneck(nn.Module):
    """1x1 and separable 3x3, added to the input if `shortcut`."""

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.reduce = Conv(channels, channels)
        self.spatial = SeparableConv(channels, channels)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        y: Tensor = self.spatial(self.reduce(x))
        return x + y if self.shortcut else y


class CspLayer(nn.Module):
    """Cross-stage partial layer: half of the channels pass the bottlenecks, half pass by."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int, shortcut: bool) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.main = Conv(in_channels, hidden)
        self.bypass = Conv(in_channels, hidden)
        self.blocks = nn.Sequential(*(Bottleneck(hidden, shortcut) for _ in range(blocks)))
        self.merge = Conv(2 * hidden, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, out_channels, h, w)."""
        merged: Tensor = self.merge(torch.cat([self.blocks(self.main(x)), self.bypass(x)], dim=1))
        return merged


class SpatialPyramidPooling(nn.Module):
    """Maxima over windows of 5, 9 and 13 cells beside the map itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = Conv(channels, channels // 2)
        self.merge = Conv(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        x = self.reduce(x)
        # A window of 9 is two of 5, one after the other; one of 13 is three.
        five = F.max_pool2d(x, 5, 1, 2)
        nine = F.max_pool2d(five, 5, 1, 2)
        thirteen = F.max_pool2d(nine, 5, 1, 2)
        merged: Tensor = self.merge(torch.cat([x, five, nine, thirteen], dim=1))
        return merged


class Pyramid(nn.Module):
    """Backbone and path-aggregation pyramid: image -> maps at strides 4, 8, 16 and 32."""

    channels = TAP_CHANNELS

    def __init__(self) -> None:
        super().__init__()
        # 2x2 pixels to 12 channels and a 3x3 convolution, in one.
        self.stem = nn.Conv2d(3, 16, 6, 2, 2)
        self.dark2 = nn.Sequential(SeparableConv(16, 32, 2), CspLayer(32, 32, 1, True))
        self.dark3 = nn.Sequential(SeparableConv(32, 64, 2), CspLayer(64, 64, 3, True))
        self.dark4 = nn.Sequential(SeparableConv(64, 128, 2), CspLayer(128, 128, 3, True))
        self.dark5 = nn.Sequential(
            SeparableConv(128, 256, 2), SpatialPyramidPooling(256), CspLayer(256, 256, 1, False)
        )
        self.lateral5 = Conv(256, 128)
        self.top_down4 = CspLayer(256, 128, 1, False)
        self.lateral4 = Conv(128, 64)
        self.top_down3 = CspLayer(128, 64, 1, False)
        self.down3 = SeparableConv(64, 64, 2)
        self.bottom_up4 = CspLayer(128, 128, 1, False)
        self.down4 = SeparableConv(128, 128, 2)
        self.bottom_up5 = CspLayer(256, 256, 1, False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps, finest first, of (b, 3, h, w) RGB, 0..255."""
        stride4 = self.dark2(F.silu(self.stem(x), inplace=True))
        dark3 = self.dark3(stride4)
        dark4 = self.dark4(dark3)
        lateral5 = self.lateral5(self.dark5(dark4))
        lateral4 = self.lateral4(self.top_down4(torch.cat([_double(lateral5), dark4], dim=1)))
        stride8 = self.top_down3(torch.cat([_double(lateral4), dark3], dim=1))
        stride16 = self.bottom_up4(torch.cat([self.down3(stride8), lateral4], dim=1))
        stride32 = self.bottom_up5(torch.cat([self.down4(stride16), lateral5], dim=1))
        return [stride4, stride8, stride16, stride32]


@dataclass(frozen=True)
class LevelOutput:
    """What the detector says at one stride.

    Attributes:
        classes: Logits, (b, c, h, w).
        box: Offset of the centre from the cell's corner and log sides, cells, (b, 4, h, w).
        objectness: Logit, (b, 1, h, w).
        box_features: What the box is read from, (b, `HEAD_WIDTH`, h, w).
    """

    classes: Tensor
    box: Tensor
    objectness: Tensor
    box_features: Tensor


class DetectorLevel(nn.Module):
    """The decoupled head at one stride."""

    def __init__(self, in_channels: int, classes: int = COCO_CLASSES) -> None:
        super().__init__()
        width = HEAD_WIDTH
        self.stem = Conv(in_channels, width)
        self.class_branch = nn.Sequential(*(SeparableConv(width, width) for _ in range(2)))
        self.classes = nn.Conv2d(width, classes, 1)
        self.box_branch = nn.Sequential(*(SeparableConv(width, width) for _ in range(2)))
        self.box = nn.Conv2d(width, 4, 1)
        self.objectness = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> LevelOutput:
        """Return scores and boxes of (b, in_channels, h, w)."""
        x = self.stem(x)
        boxes = self.box_branch(x)
        classes = self.classes(self.class_branch(x))
        return LevelOutput(classes, self.box(boxes), self.objectness(boxes), boxes)


class YoloxNano(nn.Module):
    """Pyramid and head; the maps are kept beside the head's answer."""

    def __init__(self) -> None:
        super().__init__()
        self.pyramid = Pyramid()
        self.levels = nn.ModuleList(DetectorLevel(channels) for channels in TAP_CHANNELS[1:])

    def forward(self, x: Tensor) -> list[LevelOutput]:
        """Return the answers at strides 8, 16 and 32 for (b, 3, h, w) RGB, 0..255."""
        maps = self.pyramid(x)
        return [level(m) for level, m in zip(self.levels, maps[1:], strict=True)]


def read_onnx_weights(network: YoloxNano, path: Path) -> None:
    """Fill a network from the published `yolox_nano.onnx`; layers are paired in order.

    Raises:
        InputError: The file cannot be read, or holds another network.
    """
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:
        raise InputError(
            f"{path}: expected YOLOX-Nano as ONNX, but it cannot be read ({error}); pass the "
            "published yolox_nano.onnx as --network.weights"
        ) from error
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    theirs = [node for node in graph.node if node.op_type == "Conv"]
    own = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    if len(theirs) != len(own):
        raise InputError(
            f"{path}: expected the {len(own)} convolutions of YOLOX-Nano, got {len(theirs)}"
        )
    with torch.no_grad():
        for index, (node, conv) in enumerate(zip(theirs, own, strict=True)):
            weight, bias = (numpy_helper.to_array(tensors[name]) for name in node.input[1:3])
            if index == 0:
                weight = _without_regrouping(weight)
            if conv.weight.shape != weight.shape:
                raise InputError(
                    f"{path}: convolution {index} has shape {weight.shape}, expected "
                    f"{tuple(conv.weight.shape)}; is it YOLOX-Nano?"
                )
            conv.weight.copy_(torch.from_numpy(weight.copy()))
            assert conv.bias is not None
            conv.bias.copy_(torch.from_numpy(bias.copy()))


def _without_regrouping(weight: FloatArray) -> FloatArray:
    """Return the first layer's weight for plain RGB pixels, (16, 3, 6, 6).

    The file's reads (16, 12, 3, 3): BGR of the top left pixel of each 2x2 block, of the bottom
    left, of the top right and of the bottom right one.
    """
    plain = np.zeros((weight.shape[0], 3, 6, 6), np.float32)
    for block, (row, column) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        plain[:, :, row::2, column::2] = weight[:, 3 * block : 3 * block + 3][:, ::-1]
    return plain


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
