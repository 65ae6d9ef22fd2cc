"""One labelled picture: what every dataset gives and training, calibration and scoring take."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.camera import Camera
from points2objects.errors import InputError, check_shape
from points2objects.geometry import Box9DoF, ByteArray, FloatArray, IntArray
from points2objects.place import CAMERA_LEVEL

BoolArray = npt.NDArray[np.bool_]

LEAST_VISIBLE = 0.15
"""Objects of which less is visible carry no label."""


@dataclass(frozen=True)
class Sample:
    """A canonical view and the n objects in it, in the level frame (unit: camera height).

    Attributes:
        image: (s, s, 3), RGB.
        camera: The canonical camera; its world is the level frame, so it stands at (0, 1, 0) and
            differs from it by pitch and roll only.
        boxes: n boxes, level frame.
        class_id: (n,), indices into the shape database's classes.
        model_index: (n,), indices into the shape database's models.
        visible_fraction: (n,), share of the object's own pixels that are in the picture and not
            hidden, 0..1.
        mirrored: (n,), the object is seen mirrored in its model's mirror axis; its shape is then
            the same to within the model's own symmetry.
        scene_cube: Cube that voxels are counted in, level frame, where a dataset says which;
            otherwise the metrics draw one around the objects.
        unlabelled: What stands about without a label, each name once, where a dataset says so;
            keys of `p2o_train.rendering.likeness.LOOKS_LIKE`.
    """

    image: ByteArray
    camera: Camera
    boxes: Box9DoF
    class_id: IntArray
    model_index: IntArray
    visible_fraction: FloatArray
    mirrored: BoolArray
    scene_cube: Box9DoF | None = None
    unlabelled: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_shape("image", self.image, "h w 3")
        if self.image.dtype != np.uint8:
            raise InputError(f"sample: expected a uint8 image, got {self.image.dtype}")
        if self.image.shape[:2] != (self.camera.height, self.camera.width):
            raise InputError(
                f"sample: the camera is {self.camera.width}x{self.camera.height} px, "
                f"the image {self.image.shape[1]}x{self.image.shape[0]}"
            )
        if not np.allclose(self.camera.pose[:3, 3], CAMERA_LEVEL, atol=1e-6):
            raise InputError(
                "sample: the camera must stand at (0, 1, 0) of the level frame, "
                f"got {self.camera.pose[:3, 3].tolist()}"
            )
        n = {"n": len(self.boxes)}
        per_object: dict[str, npt.NDArray[Any]] = {
            "class_id": self.class_id,
            "model_index": self.model_index,
            "visible_fraction": self.visible_fraction,
            "mirrored": self.mirrored,
        }
        for name, values in per_object.items():
            check_shape(name, values, "n", n)

    def __len__(self) -> int:
        return len(self.boxes)
