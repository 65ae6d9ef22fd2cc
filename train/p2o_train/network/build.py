"""Put a body and its heads together, as the config and the spec ask."""

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor, nn

from p2o_train.config import NetworkConfig
from p2o_train.network.heads import Heads, HeadShape
from p2o_train.network.hourglass import HourglassBody
from p2o_train.network.mobile import MobileBody
from p2o_train.network.pointwise import split_narrow_strides
from p2o_train.network.pyramid import PyramidBody
from p2o_train.network.timm_body import TimmBody
from p2o_train.network.yolox_body import YoloxBody
from points2objects.spec import ModelSpec

Body = PyramidBody | HourglassBody | YoloxBody


class PointsNetwork(nn.Module):
    """Image in, one map per output of the spec; `heatmap` is logits."""

    def __init__(self, body: Body, heads: Heads) -> None:
        super().__init__()
        self.body = body
        self.heads = heads
        self.body_frozen = False

    def freeze_body(self, heads: Collection[str] = ()) -> None:
        """Let only some heads learn.

        Args:
            heads: Their names; all but the heat-map's, so that what is detected stays as it is, if
                none is given.
        """
        self.body_frozen = True
        self.requires_grad_(False)
        for name, head in self.heads.heads.items():
            head.requires_grad_(name in heads if heads else name != "heatmap")
        self.train(self.training)

    def train(self, mode: bool = True) -> "PointsNetwork":
        """Switch the mode, but keep a frozen body as it is when the network is used."""
        super().train(mode)
        if self.body_frozen:
            self.body.eval()
        return self

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return name -> (b, c, h / 4, w / 4), in the spec's order.

        Args:
            image: Normalised by `normalise`, (b, 3, h, w).
        """
        maps: dict[str, Tensor] = self.heads(self.body(image))
        return maps


def build_network(config: NetworkConfig, spec: ModelSpec) -> PointsNetwork:
    """Make the network that the config describes, with the outputs that the spec lists.

    Raises:
        InputError: A package that the backbone or its weights come from is missing, or the backbone
            holds a layer that torch crashes on.
    """
    body: Body
    if config.backbone == "mobile":
        body = MobileBody(config)
    elif config.backbone == "yolox-nano":
        body = YoloxBody(config, spec)
    elif config.backbone == "hourglass":
        body = HourglassBody(config)
    else:
        body = TimmBody(config, spec)
    heads = Heads(body.out_channels, head_shapes(config, spec), isinstance(body, YoloxBody))
    network = PointsNetwork(body, heads)
    split_narrow_strides(network, f"--network.backbone {config.backbone}")
    return network


def head_shapes(config: NetworkConfig, spec: ModelSpec) -> dict[str, HeadShape]:
    """Return what each output's head looks like."""
    shapes = {
        name: HeadShape(config.head_channels, channels, config.separable_heads)
        for name, channels in spec.outputs.items()
    }
    for name, shape in shapes.items():
        if name != "heatmap" and config.peak_channels:
            shapes[name] = replace(shape, hidden=config.peak_channels, separable=False)
    if config.exemplar_channels:
        shapes["exemplar"] = replace(shapes["exemplar"], hidden=config.exemplar_channels)
    return shapes


def normalise(images: Tensor, spec: ModelSpec) -> Tensor:
    """Return the network's input, (b, 3, h, w) channels last, from uint8 RGB (b, h, w, 3)."""
    mean = torch.tensor(spec.mean, device=images.device)
    std = torch.tensor(spec.std, device=images.device)
    return ((images.to(torch.float32) - mean) / std).permute(0, 3, 1, 2)
