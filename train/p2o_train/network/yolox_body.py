"""A body that has seen photographs: YOLOX-Nano, its own scores, and a decoder to stride 8 or 4."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2o_train.config import NetworkConfig
from p2o_train.network.heads import PRIOR_CENTER, PRIOR_STEP
from p2o_train.network.pyramid import Merge
from p2o_train.network.yolox import (
    HEAD_WIDTH,
    TAP_CHANNELS,
    DetectorLevel,
    LevelOutput,
    Pyramid,
    YoloxNano,
    read_onnx_weights,
)
from points2objects.spec import ModelSpec

COCO_NAMES = {
    "bottle": 39,
    "bowl": 45,
    "chair": 56,
    "cup": 41,
    "mug": 41,
    "sofa": 57,
    "couch": 57,
    "table": 60,
    "plant": 58,
    "bed": 59,
    "display": 62,
    "monitor": 62,
    "tv": 62,
    "laptop": 63,
    "bench": 13,
    "car": 2,
    "vase": 75,
    "book": 73,
    "clock": 74,
}
"""Class of ours -> row of the detector's class layer; others start without a prior."""

FROZEN_PARTS = 7
"""Stem, four stages of the backbone, pyramid, head: what `freeze_stages` counts for this body."""


class YoloxBody(nn.Module):
    """Image -> decoder's features and the detector's scores, (b, f + c, h, w), stride 8 or 4.

    The last maps are the detector's own answer for each class, objectness and class, the best of
    its three strides. The heat-map starts from them (`p2o_train.network.heads.PriorHead`), so the
    network knows at once what the detector knows of photographs.
    """

    def __init__(self, config: NetworkConfig, spec: ModelSpec) -> None:
        super().__init__()
        self.backbone = Pyramid()
        self.levels = nn.ModuleList(
            DetectorLevel(channels, len(spec.classes)) for channels in TAP_CHANNELS[1:]
        )
        if config.weights is not None:
            detector = YoloxNano()
            read_onnx_weights(detector, config.weights)
            self._take_over(detector, spec)
        # The box branch knows how far an object reaches: what size and distance are read from.
        taps = [channels + HEAD_WIDTH for channels in TAP_CHANNELS[1:]]
        self.stride = config.stride
        if self.stride == 4:
            taps.insert(0, TAP_CHANNELS[0])
        *fine, coarse = taps
        merges = []
        widths = config.decoder_channels[: len(fine)]
        for tap, width in zip(reversed(fine), widths, strict=True):
            merges.append(Merge(coarse, tap, width))
            coarse = width
        # Before the concatenation the converter leaves an activation apart from its convolution,
        # and the quantiser knows a ReLU apart, not a ReLU6: the decoder's last one is a ReLU.
        merges[-1].mix.linear = True
        self.merges = nn.ModuleList(merges)
        self.out_channels = coarse + len(spec.classes)
        self._freeze(config.freeze_stages)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features, the priors last, of a normalised image, (b, 3, h, w)."""
        stride4, *maps = self.backbone(x)
        answers = [level(m) for level, m in zip(self.levels, maps, strict=True)]
        taps = [torch.cat([m, a.box_features], dim=1) for m, a in zip(maps, answers, strict=True)]
        if self.stride == 4:
            taps.insert(0, stride4)
        *fine, features = taps
        for merge, tap in zip(self.merges, reversed(fine), strict=True):
            features = merge(features, tap)
        return torch.cat([F.relu(features), self._prior(answers)], dim=1)

    def _prior(self, answers: Sequence[LevelOutput]) -> Tensor:
        prior: Tensor | None = None
        for answer in reversed(answers):
            # The logit of a product of two scores is the smaller logit, or a little less.
            # Minima and maxima by ReLU: the quantiser knows no others.
            both = answer.classes - F.relu(answer.classes - answer.objectness)
            level = F.relu((both + PRIOR_CENTER) * PRIOR_STEP)
            if prior is not None:
                grown = _double(prior)
                level = grown + F.relu(level - grown)
            prior = level
        assert prior is not None
        return _double(prior) if self.stride == 4 else prior

    def _take_over(self, detector: YoloxNano, spec: ModelSpec) -> None:
        """Copy the detector's weights; of the class layers the rows of our classes."""
        self.backbone.load_state_dict(detector.pyramid.state_dict())
        rows = [COCO_NAMES.get(name.lower(), -1) for name in spec.classes]
        for own, theirs in zip(self.levels, detector.levels, strict=True):
            weights = theirs.state_dict()
            for name in ("classes.weight", "classes.bias"):
                picked = weights[name][rows]
                missing = torch.tensor(rows) < 0
                # A class that the detector does not know has no prior: far below any logit.
                picked[missing] = 0.0 if name.endswith("weight") else -4 * PRIOR_CENTER
                weights[name] = picked
            own.load_state_dict(weights)
        self._take_normalised(spec)

    def _take_normalised(self, spec: ModelSpec) -> None:
        """Let the first layer read what the network is given instead of RGB 0..255."""
        stem = self.backbone.stem
        assert stem.bias is not None
        with torch.no_grad():
            mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
            stem.bias += (stem.weight * mean[:, None, None]).sum(dim=(1, 2, 3))
            stem.weight *= std[:, None, None]

    def _freeze(self, parts: int) -> None:
        pyramid = self.backbone
        neck = [child for name, child in pyramid.named_children() if name not in _BACKBONE]
        order: list[list[nn.Module]] = [
            [pyramid.stem],
            [pyramid.dark2],
            [pyramid.dark3],
            [pyramid.dark4],
            [pyramid.dark5],
            neck,
            list(self.levels),
        ]
        for part in order[:parts]:
            for module in part:
                module.requires_grad_(False)


_BACKBONE = ("stem", "dark2", "dark3", "dark4", "dark5")


def _double(x: Tensor) -> Tensor:
    # Half-pixel bilinear converts to TFLite's RESIZE_BILINEAR exactly.
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
