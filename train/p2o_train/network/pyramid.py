"""From a backbone's maps at strides 4 to 32 to one map at stride 4, by a light decoder."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from p2o_train.network.efficientnet_lite import ConvNorm


class Merge(nn.Module):
    """Double the size of the coarser map, add the finer one, and mix by a 3x3 convolution."""

    def __init__(self, coarse: int, fine: int, out_channels: int) -> None:
        super().__init__()
        self.coarse = ConvNorm(coarse, out_channels, linear=True)
        self.fine = ConvNorm(fine, out_channels, linear=True)
        self.mix = ConvNorm(out_channels, out_channels, 3)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Return (b, out_channels, 2h, 2w) of (b, c, h, w) and (b, c', 2h, 2w)."""
        # Half-pixel bilinear converts to TFLite's RESIZE_BILINEAR exactly.
        grown = F.interpolate(
            self.coarse(coarse), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        mixed: Tensor = self.mix(F.relu6(grown + self.fine(fine), inplace=True))
        return mixed


class PyramidBody(nn.Module):
    """Backbone and decoder: image (b, 3, 4h, 4w) -> features (b, channels, h, w).

    Args:
        backbone: Image -> its maps at strides 4, 8, 16 and 32.
        channels: Of those maps.
        widths: Of the decoder at strides 16, 8 and 4.
    """

    def __init__(
        self, backbone: nn.Module, channels: Sequence[int], widths: tuple[int, int, int]
    ) -> None:
        super().__init__()
        self.backbone = backbone
        *fine, coarse = channels
        merges = []
        for tap, width in zip(reversed(fine), widths, strict=True):
            merges.append(Merge(coarse, tap, width))
            coarse = width
        self.merges = nn.ModuleList(merges)
        self.out_channels = coarse

    def forward(self, x: Tensor) -> Tensor:
        """Return the features at stride 4."""
        features: Tensor
        *fine, features = self.backbone(x)
        for merge, tap in zip(self.merges, reversed(fine), strict=True):
            features = merge(features, tap)
        return features
