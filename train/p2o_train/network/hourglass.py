"""The paper's backbone: stacked hourglasses of residual blocks (Newell 2016, CornerNet's form).

Sizes are those of the authors' released fragments: one hourglass of depth 5 with widths 256, 256,
384, 384, 384, 512 after a stem that reaches stride 4.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from p2o_train.config import NetworkConfig


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norm, added to the (projected) input."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(out_channels)
        self.skip = (
            nn.Identity()
            if stride == 1 and in_channels == out_channels
            else nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, out_channels, h / stride, w / stride) of (b, in_channels, h, w)."""
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.skip(x) + self.second_norm(self.second(y)))


class Hourglass(nn.Module):
    """One level: an upper branch at full size, and a lower one at half size, which recurses.

    Args:
        widths: Channels of this level and of each level below; the last is the bottleneck.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        here, below = widths[0], widths[1]
        self.upper = nn.Sequential(Residual(here, here), Residual(here, here))
        self.down = nn.Sequential(Residual(here, below, stride=2), Residual(below, below))
        self.inner = (
            Hourglass(widths[1:])
            if len(widths) > 2
            else nn.Sequential(Residual(below, below), Residual(below, below))
        )
        self.up = nn.Sequential(Residual(below, below), Residual(below, here))

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the input's shape, (b, widths[0], h, w); h and w halve at each level."""
        lower = self.up(self.inner(self.down(x)))
        grown = F.interpolate(lower, scale_factor=2.0, mode="bilinear", align_corners=False)
        out: Tensor = self.upper(x) + grown
        return out


class HourglassBody(nn.Module):
    """Stem and stacked hourglasses: image (b, 3, 4h, 4w) -> features (b, channels, h, w).

    Only the last stack is supervised; the paper and the released fragments use a single one.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        widths = config.hourglass_widths
        stem, first = config.hourglass_stem, widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(),
            Residual(stem, first, stride=2),
        )
        self.stacks = nn.ModuleList(Hourglass(widths) for _ in range(config.hourglass_stacks))
        self.joins = nn.ModuleList(
            Residual(first, first) for _ in range(config.hourglass_stacks - 1)
        )
        self.out_channels = first

    def forward(self, x: Tensor) -> Tensor:
        """Return the last stack's features, (b, out_channels, h, w)."""
        x = self.stem(x)
        features: Tensor = self.stacks[0](x)
        for join, stack in zip(self.joins, list(self.stacks)[1:], strict=True):
            x = join(x + features)
            features = stack(x)
        return features
