"""The output heads: one small stack of convolutions per tensor of the spec."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from points2objects.decode import gravity_cells
from points2objects.spec import GRAVITY_CHANNELS, GravityEncoding

GRAVITY_GRID = "gravity_grid"
"""Name of the gravity head's answers on the grid that pools them, (b, cells, channels)."""

PRIOR_CENTER, PRIOR_STEP = 6.0, 0.5
"""A prior logit x is kept as relu((x + 6) / 2): -6..6, the range that says anything, as 0..6."""
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


@dataclass(frozen=True)
class HeadShape:
    """What one head looks like.

    Attributes:
        hidden: Width between its two convolutions.
        channels: Of its output.
        separable: Make the 3x3 depthwise, followed by a 1x1.
    """

    hidden: int
    channels: int
    separable: bool


class Head(nn.Module):
    """3x3 convolution, ReLU, 1x1 convolution."""

    def __init__(self, in_channels: int, shape: HeadShape) -> None:
        super().__init__()
        hidden, separable = shape.hidden, shape.separable
        groups = in_channels if separable else 1
        spatial_channels = in_channels if separable else hidden
        self.spatial = nn.Conv2d(in_channels, spatial_channels, 3, padding=1, groups=groups)
        self.mix = nn.Conv2d(in_channels, hidden, 1) if separable else nn.Identity()
        self.out = nn.Conv2d(hidden, shape.channels, 1)

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


class PriorHead(Head):
    """A head whose last convolution also reads the features themselves.

    It starts as what their last channels hold, the scores of a body that has some
    (`p2o_train.network.yolox_body`), and learns how far to trust them. One convolution, and not a
    slice and a sum, because converters then keep its layout.
    """

    def __init__(self, in_channels: int, shape: HeadShape) -> None:
        super().__init__(in_channels, shape)
        self.out = nn.Conv2d(shape.hidden + in_channels, shape.channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the whole map, (b, out_channels, h, w), of (b, in_channels, h, w)."""
        hidden = F.relu(self.mix(self.spatial(features)), inplace=True)
        logits: Tensor = self.out(torch.cat([hidden, features], dim=1))
        return logits

    @torch.no_grad()
    def start_from_scores(self) -> None:
        """Let the output be the scores, as logits."""
        assert self.out.bias is not None
        count = self.out.out_channels
        self.out.weight.zero_()
        self.out.weight[:, -count:, 0, 0] = torch.eye(count) / PRIOR_STEP
        self.out.bias.fill_(-PRIOR_CENTER)


class Heads(nn.Module):
    """One `Head` per output; `heatmap` yields logits, the rest raw regressions.

    Args:
        in_channels: Width of the shared features.
        shapes: Of each output of the spec, by name.
        scored: The last features are scores of the classes that the heat-map starts from.
    """

    def __init__(
        self, in_channels: int, shapes: dict[str, HeadShape], scored: bool = False
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleDict()
        for name, shape in shapes.items():
            kind = PriorHead if scored and name == "heatmap" else Head
            head = kind(in_channels, shape)
            assert head.out.bias is not None
            nn.init.normal_(head.out.weight, std=0.01)
            nn.init.constant_(head.out.bias, HEATMAP_BIAS if name == "heatmap" else 0.0)
            if isinstance(head, PriorHead):
                head.start_from_scores()
            self.heads[name] = head

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Return every map, (b, c, h, w), of features (b, f, h, w)."""
        return {name: head(features) for name, head in self.heads.items()}

    def at(self, features: Tensor, cells: Cells) -> dict[str, Tensor]:
        """Return the heat-map (b, c, h, w) and all else only at n cells, (n, c).

        The losses read the other heads at few cells, so training spares the rest of their maps.
        """
        outputs = {"heatmap": self.heads["heatmap"](features)}
        gravity = self.heads["gravity"]
        assert isinstance(gravity, Head)
        if gravity.out.out_channels == GRAVITY_CHANNELS[GravityEncoding.POOLED]:
            outputs[GRAVITY_GRID] = _on_grid(gravity, features)
        return outputs | self.at_patches(gather_patches(features, cells))

    def at_patches(self, patches: Tensor) -> dict[str, Tensor]:
        """Return all but the heat-map, (n, c), of the features around n cells, (n, f, 3, 3)."""
        outputs: dict[str, Tensor] = {}
        for name, head in self.heads.items():
            assert isinstance(head, Head)
            if name != "heatmap":
                outputs[name] = head.at(patches)
        return outputs


def _on_grid(head: Head, features: Tensor) -> Tensor:
    """Evaluate a head on the cells that gravity is pooled from, (b, cells, channels)."""
    batch = len(features)
    rows, columns = (torch.from_numpy(part) for part in gravity_cells(features.shape[-1]))
    cells = Cells(
        torch.arange(batch).repeat_interleave(len(rows)).to(features.device),
        rows.repeat(batch).to(features.device),
        columns.repeat(batch).to(features.device),
    )
    return head.at(gather_patches(features, cells)).reshape(batch, len(rows), -1)


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
