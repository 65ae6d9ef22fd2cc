"""How much the predicted solids of one scene run into each other (paper, table 3)."""

from dataclasses import dataclass

import numpy as np

from p2o_train.metrics.box_iou import intersection_volume
from p2o_train.metrics.voxel_iou import shared_volume
from points2objects.errors import check_shape
from points2objects.geometry import Box9DoF, FloatArray, IntArray


@dataclass(frozen=True)
class Collisions:
    """Colliding pairs of one scene.

    Attributes:
        volume: Shared volume of each colliding pair, (p,), all positive, in cubic units of the
            boxes' frame (cubic camera heights in the level frame). The paper counts voxels.
        pair: Indices of the two objects of each, (p, 2), the lower first.
    """

    volume: FloatArray
    pair: IntArray

    def __len__(self) -> int:
        return len(self.volume)


def collisions(boxes: Box9DoF, sdfs: FloatArray) -> Collisions:
    """Find the pairs of objects whose solids overlap, and by how much.

    Args:
        boxes: n boxes.
        sdfs: Signed distances of the shape in each, (n, d, d, d), negative inside.
    """
    check_shape("sdfs", sdfs, "n d d d", {"n": len(boxes)})
    first, second = np.triu_indices(len(boxes), k=1)
    touching = intersection_volume(boxes[first], boxes[second]) > 0
    volumes = [
        _pair_volume(sdfs[i], boxes[int(i)], sdfs[j], boxes[int(j)])
        for i, j in zip(first[touching], second[touching], strict=True)
    ]
    volume, pair = np.array(volumes), np.stack([first, second], axis=1)[touching]
    return Collisions(volume[volume > 0], pair[volume > 0])


def _pair_volume(
    first_sdf: FloatArray, first: Box9DoF, second_sdf: FloatArray, second: Box9DoF
) -> float:
    """Average both directions: each samples the other with its own cells."""
    forth = shared_volume(first_sdf, first, second_sdf, second)
    back = shared_volume(second_sdf, second, first_sdf, first)
    return (forth + back) / 2
