"""From boxes read one by one to a scene that can be.

Objects rest on the support plane, are one in one place, and have sizes that there are. The steps
use only what an AR session knows anyway: gravity, the plane and the metre. None is in the paper,
whose scenes have no known plane.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from points2objects.camera import Camera
from points2objects.decode import Peaks
from points2objects.geometry import Box9DoF, FloatArray, IntArray
from points2objects.place import CAMERA_LEVEL, place_level
from points2objects.spec import ModelSpec

STANDING_FACTOR = 1.5
"""A box that would have to move farther than by this factor stands on something else."""
SAME_PLACE = 0.5
"""The centre of one box lies inside the other: half a side away, in its axes, or less."""
SIZE_MARGIN = 1.5
"""Objects may be smaller or larger than all known ones of their class by this factor."""


@dataclass(frozen=True, eq=False)
class Placed:
    """The objects of one image.

    Attributes:
        peaks: n peaks, best first.
        boxes: n boxes, level frame, in the order of the peaks.
    """

    peaks: Peaks
    boxes: Box9DoF

    def __len__(self) -> int:
        return len(self.peaks)


def settle(peaks: Peaks, camera: Camera, spec: ModelSpec) -> Placed:
    """Place peaks in the level frame of a canonical camera with a pose, and settle the boxes."""
    boxes = rest_on_support(place_level(peaks, camera, spec))
    kept = distinct(boxes, peaks.class_id)
    return Placed(peaks[kept], boxes[kept])


def of_known_size(placed: Placed, camera: Camera, spec: ModelSpec) -> Placed:
    """Drop what has a size in metres that nothing of its class has: a mug as large as a bin.

    Args:
        placed: Boxes in camera heights.
        camera: Whose height over the plane is metric.
        spec: Its `sizes_m` say what is known; if empty, everything stays.
    """
    if not spec.sizes_m:
        return placed
    size_m = camera.height_above_support * np.linalg.norm(placed.boxes.scale, axis=-1)
    least, most = np.array(spec.sizes_m)[placed.peaks.class_id].T
    kept = np.flatnonzero((size_m >= least / SIZE_MARGIN) & (size_m <= most * SIZE_MARGIN))
    return Placed(placed.peaks[kept], placed.boxes[kept])


def rest_on_support(boxes_level: Box9DoF) -> Box9DoF:
    """Move boxes along their rays, and grow them alike, until they touch the support plane.

    Scaling a box about the camera changes no pixel of it, and what an image tells worst is just
    this factor. With the lowest corner at height `b` and the camera at height 1, the factor
    `1 / (1 - b)` brings that corner to 0. A box that is farther off than `STANDING_FACTOR` is
    left alone: it stands on a table, or hangs.

    Args:
        boxes_level: n boxes, level frame.
    """
    lowest = boxes_level.corners()[..., 1].min(axis=-1)
    below_camera = np.maximum(1.0 - lowest, 1e-6)
    standing = np.abs(np.log(below_camera)) < np.log(STANDING_FACTOR)
    factor = np.where(standing, 1.0 / below_camera, 1.0)[:, None]
    from_camera = boxes_level.translation - CAMERA_LEVEL
    return replace(
        boxes_level,
        translation=CAMERA_LEVEL + factor * from_camera,
        scale=factor * boxes_level.scale,
    )


def distinct(boxes: Box9DoF, class_id: IntArray) -> IntArray:
    """Return which boxes to keep, ascending: none whose class has a better one in its place.

    Maps have several peaks on a large object; their offsets point at one centre. Solid objects of
    a class cannot share it.

    Args:
        boxes: n boxes, best first.
        class_id: (n,).
    """
    inside = _inside(boxes)
    return _best_of((inside | inside.T) & (class_id[:, None] == class_id[None]))


def one_reading_each(placed: Placed) -> Placed:
    """Keep the better of two boxes of different classes that are one object read twice.

    Unlike in `distinct` the centre of each must lie inside the other: a chair may be pushed under
    a table. Meant for what is shown: a list for average precision holds all classes' readings.
    """
    inside = _inside(placed.boxes)
    kept = _best_of(inside & inside.T)
    return Placed(placed.peaks[kept], placed.boxes[kept])


def _inside(boxes: Box9DoF) -> npt.NDArray[np.bool_]:
    """Tell whether the centre of box i lies inside box j, (n, n) at [j, i]."""
    apart = boxes.translation[:, None] - boxes.translation[None]
    return np.asarray(_largest_share(boxes, apart) < SAME_PLACE)


def _best_of(same: npt.NDArray[np.bool_]) -> IntArray:
    """Return the indices, ascending, that are not the same, (n, n), as an earlier kept one."""
    kept: list[int] = []
    for index in range(len(same)):
        if not same[index, kept].any():
            kept.append(index)
    return np.array(kept, dtype=np.int64)


def _largest_share(boxes: Box9DoF, offset: FloatArray) -> FloatArray:
    """Return the largest coordinate of (n, n, 3) offsets in the axes and sides of box i."""
    own = np.einsum("iba,ijb->ija", boxes.rotation, offset)
    return np.asarray(np.abs(own / boxes.scale[:, None]).max(axis=-1, initial=0.0))
