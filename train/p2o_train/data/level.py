"""From boxes in the camera's frame, of any unit, to a canonical view labelled in the level frame.

Datasets that other people made know where objects are, but neither gravity nor the plane that the
objects stand on. Both follow from the objects: they stand upright, and the lowest is on the plane.
"""

from dataclasses import dataclass

import numpy as np

from p2o_shapedb.database import ShapeDB
from p2o_train.config import TrainConfig
from p2o_train.data.sample import LEAST_VISIBLE, Sample
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, ByteArray, FloatArray, IntArray, rigid
from points2objects.place import CAMERA_LEVEL
from points2objects.preprocess import pixel_map, preprocess
from points2objects.spec import ModelSpec

LEAST_SIDE_PX = 12.0
"""Objects whose box is smaller than this in the canonical view (three cells) carry no label."""

LEAST_HEIGHT = 0.05
"""Share of the distance to the nearest object that the camera must stand above the plane; below,
the unit of length says nothing."""

UPRIGHT_DEG = 1.0
"""The objects of a scene agree on where up is to within this angle."""


@dataclass(frozen=True, eq=False)
class LevelView:
    """A canonical view and the n boxes of its scene.

    Attributes:
        image: (s, s, 3), RGB.
        camera: Canonical camera; its world is the level frame.
        boxes: n boxes, level frame.
        above: Whether the camera stands well above the plane of the lowest box; otherwise the
            level frame has no unit, and the boxes are in one of no meaning.
        view_from_frame: (3, 3), affine map from the original picture's pixels to the view's.
        level_from_camera: (4, 4), similarity from the original camera's frame to the level frame.
    """

    image: ByteArray
    camera: Camera
    boxes: Box9DoF
    above: bool
    view_from_frame: FloatArray
    level_from_camera: FloatArray


def level_view(image: ByteArray, K: FloatArray, boxes_camera: Box9DoF) -> LevelView:
    """Find gravity and the support plane, and resample the picture to the canonical view.

    Args:
        image: (h, w, 3), RGB.
        K: (3, 3), pixels of the image.
        boxes_camera: n >= 1 boxes in the camera's frame, any unit; their +y is up.

    Raises:
        InputError: There is no box, or the boxes do not agree on where up is.
    """
    up = common_up(boxes_camera.rotation)
    frame = Camera(K, image.shape[1], image.shape[0]).with_gravity(up)
    seen = preprocess(image, frame, _canonical_spec())
    height = -float((boxes_camera.corners() @ up).min())
    nearest = float(np.linalg.norm(boxes_camera.translation, axis=-1).min())
    above = height > LEAST_HEIGHT * nearest
    level_from_camera = rigid(frame.level_rotation() / (height if above else nearest), CAMERA_LEVEL)
    return LevelView(
        image=seen.image,
        camera=seen.camera,
        boxes=boxes_camera.transformed(level_from_camera),
        above=above,
        view_from_frame=np.linalg.inv(pixel_map(frame, seen.camera)),
        level_from_camera=level_from_camera,
    )


def sample_of(
    view: LevelView, model_index: IntArray, visible_fraction: FloatArray, shapedb: ShapeDB
) -> Sample:
    """Label a view with those of its objects that can be seen and whose centre is in it.

    Args:
        view: The view.
        model_index: Models behind its boxes, (n,).
        visible_fraction: Share of each object that can be seen, (n,), 0..1.
        shapedb: The database that `model_index` indexes.

    Returns:
        A sample of m <= n objects; of none if the camera is not above the support plane.
    """
    camera, size = view.camera, np.array([view.camera.width, view.camera.height])
    centers = camera.project(view.boxes.translation)
    corners = camera.project(view.boxes.corners())
    sides_px = np.ptp(corners[..., :2], axis=1).max(axis=1)
    small = sides_px < LEAST_SIDE_PX  # false for NaN: a corner behind the camera is no small box
    inside = (centers[:, 2] > 0) & ((centers[:, :2] > 0) & (centers[:, :2] < size)).all(axis=1)
    keep = inside & ~small & (visible_fraction >= LEAST_VISIBLE) & view.above
    models = np.asarray(model_index, dtype=np.int64)[keep]
    return Sample(
        image=view.image,
        camera=camera,
        boxes=view.boxes[keep],
        class_id=np.array([shapedb.class_id(int(m)) for m in models], dtype=np.int64),
        model_index=models,
        visible_fraction=np.asarray(visible_fraction, dtype=float)[keep],
        mirrored=np.zeros(len(models), dtype=bool),
    )


def common_up(rotation: FloatArray) -> FloatArray:
    """Return the direction in which all objects stand upright, (3,), unit.

    Args:
        rotation: Of n objects, (n, 3, 3).

    Raises:
        InputError: There is no object, or two differ by more than `UPRIGHT_DEG`.
    """
    ups = rotation[:, :, 1]
    if not len(ups):
        raise InputError("expected at least one object, got none")
    mean = ups.mean(axis=0)
    norm = float(np.linalg.norm(mean))
    tilt = np.degrees(np.arccos(np.clip(ups @ mean / max(norm, 1e-9), -1, 1)))
    if tilt.max() > UPRIGHT_DEG:
        raise InputError(
            f"expected objects that all stand upright, but they lean by up to {tilt.max():.1f} "
            "degrees from their common up direction"
        )
    return np.asarray(mean / norm)


def _canonical_spec() -> ModelSpec:
    # Only its view counts here; what is outside of the picture gets training's usual colour.
    return ModelSpec("import", ("any",), 1, "", mean=TrainConfig.mean)
