"""The output heads: one small stack of convolutions per tensor of the spec."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEATMAP_BIAS = -2.19
"""Start with scores of 0.1 everywhere (CenterNet), or the focal loss drowns in empty cells."""


@dataclass(frozen=True)
class Cells:
    """n cells of the maps of a batch.

    Attributes:
        image: (n,), index in the batch.
        row: (n,).
        column: (n,).
    """

    image: Tensor
    row: Tensor
    column: Tensor

    def __len__(self) -> int:
        return len(self.image)


class Head(nn.Module):
    """3x3 convolution, ReLU, 1x1 convolution.

    Args:
        in_channels: Width of the shared features.
        hidden: Width between the two convolutions.
        out_channels: Channels of the output tensor.
        separable: Make the 3x3 depthwise, followed by a 1x1.
    """

    def __init__(self, in_channels: int, hidden: int, out_channels: int, separable: bool) -> None:
        super().__init__()
        groups = in_channels if separable else 1
        spatial_channels = in_channels if separable else hidden
        self.spatial = nn.Conv2d(in_channels, spatial_channels, 3, padding=1, groups=groups)
        self.mix = nn.Conv2d(in_channels, hidden, 1) if separable else nn.Identity()
        self.out = nn.Conv2d(hidden, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the whole map, (b, out_channels, h, w), of (b, in_channels, h, w)."""
        return self._finish(self.spatial(features))

    def at(self, patches: Tensor) -> Tensor:
        """Evaluate the head on 3x3 patches, (n, c, 3, 3); returns (n, out_channels)."""
        spatial = self.spatial
        x = F.conv2d(patches, spatial.weight, spatial.bias, groups=spatial.groups)
        return self._finish(x)[:, :, 0, 0]

    def _finish(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(F.relu(self.mix(x), inplace=True))
        return out


class Heads(nn.Module):
    """One `Head` per output; `heatmap` yields logits, the rest raw regressions.

    Args:
        in_channels: Width of the shared features.
        hidden: Width inside each head.
        outputs: Name -> channels, from `ModelSpec.outputs`.
        separable: See `Head`.
    """

    def __init__(
        self, in_channels: int, hidden: int, outputs: dict[str, int], separable: bool
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(
            {name: Head(in_channels, hidden, n, separable) for name, n in outputs.items()}
        )
        for name, head in self.heads.items():
            assert isinstance(head, Head)
            assert head.out.bias is not None
            nn.init.normal_(head.out.weight, std=0.01)
            nn.init.constant_(head.out.bias, HEATMAP_BIAS if name == "heatmap" else 0.0)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Return every map, (b, c, h, w), of features (b, f, h, w)."""
        return {name: head(features) for name, head in self.heads.items()}

    def at(self, features: Tensor, cells: Cells) -> dict[str, Tensor]:
        """Return the heat-map (b, c, h, w) and all else only at n cells, (n, c).

        The losses read the other heads at few cells, so training spares the rest of their maps.
        """
        outputs = {"heatmap": self.heads["heatmap"](features)}
        return outputs | self.at_patches(gather_patches(features, cells))

    def at_patches(self, patches: Tensor) -> dict[str, Tensor]:
        """Return all but the heat-map, (n, c), of the features around n cells, (n, f, 3, 3)."""
        outputs: dict[str, Tensor] = {}
        for name, head in self.heads.items():
            assert isinstance(head, Head)
            if name != "heatmap":
                outputs[name] = head.at(patches)
        return outputs


def gather_patches(features: Tensor, cells: Cells) -> Tensor:
    """Cut 3x3 patches, (n, c, 3, 3), around cells out of (b, c, h, w); zeros beyond the edge."""
    batch, channels, height, width = features.shape
    step = torch.arange(-1, 2, device=features.device)
    row = (cells.row[:, None] + step)[:, :, None].expand(-1, 3, 3)
    column = (cells.column[:, None] + step)[:, None, :].expand(-1, 3, 3)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    index = (cells.image[:, None, None] * height + row.clamp(0, height - 1)) * width
    index = index + column.clamp(0, width - 1)
    rows = features.permute(0, 2, 3, 1).reshape(batch * height * width, channels)
    picked = rows.index_select(0, index.reshape(-1)) * inside.reshape(-1, 1)
    return picked.reshape(-1, 3, 3, channels).permute(0, 3, 1, 2)
