"""What one frame yields: objects in the world, ready to save."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.camera import Camera
from points2objects.credits import PROVENANCE, copyright_line
from points2objects.errors import InputError, check_shape
from points2objects.files import write_file
from points2objects.geometry import Box9DoF, FloatArray, IntArray, quaternion, transform_points
from points2objects.glb import Mesh
from points2objects.glb_writer import Instance, encode_glb
from points2objects.usdz import encode_usdz

SCENE_SCHEMA = 1
UNTRACKED = -1
"""Track id of an object that no tracker has seen."""


def check_timestamp(timestamp_ns: object) -> int:
    """Return a time stamp as a Python integer, whichever kind of integer it is.

    Raises:
        InputError: It is no integer, negative, or longer than 63 bits.
    """
    if isinstance(timestamp_ns, bool) or not isinstance(timestamp_ns, int | np.integer):
        raise InputError(
            f"timestamp_ns: expected whole nanoseconds, got {str(timestamp_ns)[:40]!r} "
            f"({type(timestamp_ns).__name__}); for seconds pass round(seconds * 1e9)"
        )
    value = int(timestamp_ns)
    if not 0 <= value < 2**63:
        raise InputError(f"timestamp_ns: expected 0 or more, below 2**63, got {str(value)[:40]}")
    return value


@dataclass(frozen=True, eq=False)
class Detections:
    """n objects found in one image, best first.

    Attributes:
        boxes: n boxes.
        class_id: (n,).
        exemplar_id: (n,), index into the exemplar pack.
        score: (n,), 0..1.
        center: (n, 2), where the box centre is seen in the original image, px.
    """

    boxes: Box9DoF
    class_id: IntArray
    exemplar_id: IntArray
    score: FloatArray
    center: FloatArray

    def __post_init__(self) -> None:
        sizes = check_shape("translation", self.boxes.translation, "n 3")
        check_shape("class_id", self.class_id, "n", sizes)
        check_shape("exemplar_id", self.exemplar_id, "n", sizes)
        check_shape("score", self.score, "n", sizes)
        check_shape("center", self.center, "n 2", sizes)

    def __len__(self) -> int:
        return len(self.class_id)

    def __getitem__(self, index: "slice | IntArray | npt.NDArray[np.bool_]") -> "Detections":
        return Detections(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True, eq=False)
class Scene:
    """The objects of one frame in the world, right-handed, +y up.

    Attributes:
        detections: n objects, boxes in the world.
        labels: Class name of each object.
        track_id: (n,), the same for the same object over frames; `UNTRACKED` without a session.
        camera: Camera of the original image, with a pose: the session's, or the estimated one.
        exemplars: Meshes in the object frame; `detections.exemplar_id` indexes them.
        timestamp_ns: Time of the frame.
        metric: True when lengths are metres; False when no session gave the camera's height, and
            the unit is that height.
    """

    detections: Detections
    labels: tuple[str, ...]
    track_id: IntArray
    camera: Camera
    exemplars: Sequence[Mesh] = field(default=(), repr=False)
    timestamp_ns: int = 0
    metric: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "timestamp_ns", check_timestamp(self.timestamp_ns))
        check_shape("track_id", self.track_id, "n", {"n": len(self.detections)})
        if len(self.labels) != len(self.detections):
            raise InputError(
                f"scene: {len(self.detections)} objects need as many labels, got {len(self.labels)}"
            )

    def __len__(self) -> int:
        return len(self.detections)

    def distance(self) -> FloatArray:
        """Return how far each box centre is from the camera, (n,), in the scene's unit."""
        offset = self.detections.boxes.translation - self.camera.pose[:3, 3]
        return np.asarray(np.linalg.norm(offset, axis=-1))

    def names(self) -> tuple[str, ...]:
        """Return a distinct name for each object: its label and a running number, "chair-0"."""
        seen: Counter[str] = Counter()
        names = []
        for label in self.labels:
            names.append(f"{label}-{seen[label]}")
            seen[label] += 1
        return tuple(names)

    def mesh(self, index: int) -> Mesh:
        """Return the exemplar's mesh of one object, carried into the world.

        Raises:
            InputError: The scene was made without exemplars.
        """
        exemplar = self._exemplar(index)
        box = self.detections.boxes[index]
        normals = (exemplar.normals / box.scale) @ box.rotation.T
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        vertices = transform_points(box.matrix(), exemplar.vertices)
        return replace(
            exemplar,
            vertices=vertices.astype(np.float32),
            normals=normals.astype(np.float32),
            name=self.names()[index],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the scene as JSON values; rotations are rows of rows, lengths in `unit`."""
        camera = self.camera
        return {
            "schema": SCENE_SCHEMA,
            "timestamp_ns": self.timestamp_ns,
            "unit": "metre" if self.metric else "camera height",
            "camera": {
                "K": camera.K.tolist(),
                "width": camera.width,
                "height": camera.height,
                "world_from_camera": camera.pose.tolist(),
                "support_height": camera.support_height,
            },
            "objects": [self._object(index) for index in range(len(self))],
        }

    def to_json(self) -> str:
        """Return `to_dict` on one line, so that scenes make JSON lines."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def save_json(self, path: Path | str) -> None:
        """Write the scene as JSON; an older file is replaced at once.

        Raises:
            InputError: The file cannot be written.
        """
        write_file(Path(path), json.dumps(self.to_dict(), indent=2, allow_nan=False).encode())

    def save_glb(self, path: Path | str) -> None:
        """Write the scene as binary glTF, +Y up, one node per object with its credits in extras.

        Raises:
            InputError: The scene was made without exemplars, or the file cannot be written.
        """
        write_file(Path(path), self.to_glb())

    def save_usdz(self, path: Path | str) -> None:
        """Write the scene as USDZ for AR Quick Look; needs `pip install 'points2objects[usd]'`.

        Raises:
            InputError: The scene was made without exemplars, the `usd` extra is not installed, or
                the file cannot be written.
        """
        write_file(Path(path), encode_usdz(self._instances(), self._extras(), self._credits()))

    def to_glb(self) -> bytes:
        """Return what `save_glb` writes."""
        return encode_glb(self._instances(), self._extras(), self._credits())

    def _instances(self) -> list[Instance]:
        """Return the placed exemplar of each object."""
        boxes = self.detections.boxes
        quaternions = quaternion(boxes.rotation)
        return [
            Instance(
                self._exemplar(index),
                boxes.translation[index],
                quaternions[index],
                boxes.scale[index],
                name,
                self._object_extras(index),
            )
            for index, name in enumerate(self.names())
        ]

    def _extras(self) -> dict[str, Any]:
        return {
            "points2objects": {
                "schema": SCENE_SCHEMA,
                "timestamp_ns": self.timestamp_ns,
                "unit": "metre" if self.metric else "camera height",
            }
        }

    def _credits(self) -> str:
        """Return who made the meshes and under which terms, each once."""
        return copyright_line(self._exemplar(index).extras for index in range(len(self)))

    def _exemplar(self, index: int) -> Mesh:
        exemplar_id = int(self.detections.exemplar_id[index])
        if not 0 <= exemplar_id < len(self.exemplars):
            raise InputError(
                f"scene: object {index} wants exemplar {exemplar_id}, but the scene carries "
                f"{len(self.exemplars)} meshes; make it with the bundle's exemplar pack"
            )
        return self.exemplars[exemplar_id]

    def _object(self, index: int) -> dict[str, Any]:
        boxes = self.detections.boxes
        exemplar_id = int(self.detections.exemplar_id[index])
        known = 0 <= exemplar_id < len(self.exemplars)
        return {
            "name": self.names()[index],
            "class": self.labels[index],
            "class_id": int(self.detections.class_id[index]),
            "score": float(self.detections.score[index]),
            "track_id": int(self.track_id[index]),
            "exemplar_id": exemplar_id,
            "exemplar": self.exemplars[exemplar_id].name if known else None,
            "center_px": self.detections.center[index].tolist(),
            "distance": float(self.distance()[index]),
            "rotation": boxes.rotation[index].tolist(),
            "translation": boxes.translation[index].tolist(),
            "scale": boxes.scale[index].tolist(),
        }

    def _object_extras(self, index: int) -> dict[str, Any]:
        exemplar = self._exemplar(index)
        return {
            "class": self.labels[index],
            "score": float(self.detections.score[index]),
            "track_id": int(self.track_id[index]),
            "exemplar_id": int(self.detections.exemplar_id[index]),
            "exemplar": exemplar.name,
            **{key: exemplar.extras[key] for key in PROVENANCE if key in exemplar.extras},
        }
