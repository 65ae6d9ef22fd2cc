"""The entries of `pix3d.json`: one photograph, one object, one mesh each."""

import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from points2objects.errors import InputError
from points2objects.geometry import FloatArray, is_rotation

SENSOR_MM = 32.0
"""Width of the sensor that focal lengths are given for."""

BROKEN = frozenset(["img/table/1749.jpg", "img/table/0045.png"])
"""Pictures whose masks do not fit them; everybody leaves them out."""

VAL_SHARE = 0.25
"""Share of the pictures (S1) or models (S2) that are held out without a list; Mesh R-CNN's."""

Split = Literal["s1", "s2"]


@dataclass(frozen=True, eq=False)
class Pix3DEntry:
    """One entry.

    Attributes:
        image: Path below the root, like mask and model.
        category: "chair", ...
        size: Width and height of the picture, px.
        mask: Mask of the object.
        model: OBJ file.
        rotation: (3, 3), `rot_mat`.
        translation: (3,), `trans_mat`.
        focal_px: Focal length, px.
        truncated: Whether the picture cuts the object off.
        occluded: Whether something hides part of it, be it little.
        bbox: (4,), left, top, right, bottom of the object, px.
    """

    image: str
    category: str
    size: tuple[int, int]
    mask: str
    model: str
    rotation: FloatArray
    translation: FloatArray
    focal_px: float
    truncated: bool
    occluded: bool
    bbox: FloatArray

    @property
    def model_id(self) -> str:
        """Id that the model has in a database built from `link_models`' folder."""
        return f"{self.category}/{model_name(self.model)}"

    @property
    def intrinsics(self) -> FloatArray:
        """K, (3, 3), pixels; the optical axis is in the middle of the picture."""
        width, height = self.size
        f = self.focal_px
        return np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1.0]])


def model_name(model: str) -> str:
    """Return a name of a mesh that is safe as a file name: model/chair/A/b.obj gives A__b."""
    parts = PurePosixPath(model).with_suffix("").parts
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "__".join(parts[2:] or parts))


def read_entries(root: Path) -> tuple[Pix3DEntry, ...]:
    """Read and check `pix3d.json`; pictures that are known to be broken are left out.

    Raises:
        InputError: The file is missing, or an entry lacks a field or has a wrong value.
    """
    path = root / "pix3d.json"
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: expected Pix3D's list of entries, got {error}; unpack pix3d.zip into --root"
        ) from error
    if not isinstance(values, list):
        raise InputError(f"{path}: expected a JSON list, got {type(values).__name__}")
    entries = [_parse(f"{path}: entry {i}", value) for i, value in enumerate(values)]
    return tuple(entry for entry in entries if entry.image not in BROKEN)


def _parse(where: str, value: Any) -> Pix3DEntry:
    try:
        width, height = (int(side) for side in value["img_size"])
        rotation = np.array(value["rot_mat"], dtype=float)
        translation = np.array(value["trans_mat"], dtype=float)
        bbox = np.array(value["bbox"], dtype=float)
        focal_px = float(value["focal_length"]) / SENSOR_MM * width
        entry = Pix3DEntry(
            image=_path(value["img"]),
            category=str(value["category"]),
            size=(width, height),
            mask=_path(value["mask"]),
            model=_path(value["model"]),
            rotation=rotation,
            translation=translation,
            focal_px=focal_px,
            truncated=_flag(value["truncated"]),
            occluded=_flag(value["occluded"]) or _flag(value["slightly_occluded"]),
            bbox=bbox,
        )
    except KeyError as error:
        raise InputError(f"{where}: has no field {error}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error
    _check(where, entry)
    return entry


def _check(where: str, entry: Pix3DEntry) -> None:
    numbers = {
        "rot_mat": (entry.rotation, (3, 3)),
        "trans_mat": (entry.translation, (3,)),
        "bbox": (entry.bbox, (4,)),
    }
    for name, (array, shape) in numbers.items():
        if array.shape != shape or not np.isfinite(array).all():
            raise InputError(
                f"{where}: {name}: expected {math.prod(shape)} finite numbers, shape {shape}, got "
                f"{array.shape}"
            )
    if not is_rotation(entry.rotation, tolerance=1e-3):
        raise InputError(
            f"{where}: rot_mat: expected a rotation, determinant +1, got determinant "
            f"{np.linalg.det(entry.rotation):.3f}"
        )
    if min(entry.size) < 1 or not 0 < entry.focal_px < math.inf:
        raise InputError(
            f"{where}: expected a positive img_size and focal_length, got {entry.size} and "
            f"{entry.focal_px:g} px"
        )


def _path(value: Any) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"expected a path below the root, got {value!r}")
    return str(path)


def _flag(value: Any) -> bool:
    """Read a flag: the documents say "true" and "false", the file has JSON's."""
    known = {True: True, False: False, "true": True, "false": False}
    if not isinstance(value, bool | str) or value not in known:
        raise ValueError(f"expected true or false, got {value!r}")
    return known[value]


def is_val(entry: Pix3DEntry, split: Split, val_list: frozenset[str] | None) -> bool:
    """Tell whether an entry is held out.

    Args:
        entry: The entry.
        split: s1: by picture. s2: by model, so that validation has other models than training.
        val_list: Pictures that are held out; wins over `split`.
    """
    if val_list is not None:
        return entry.image in val_list
    key = entry.image if split == "s1" else f"{entry.category}/{entry.model}"
    return hash_share(key) < VAL_SHARE


def hash_share(text: str) -> float:
    """Return a number in 0..1 that a text always gives."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16) / 16.0**12


def read_val_list(path: Path) -> frozenset[str]:
    """Read which pictures are held out.

    Args:
        path: A path of a picture a line ("img/chair/0001.png"), or a JSON file in COCO's format,
            like Mesh R-CNN's pix3d_s1_test.json.

    Raises:
        InputError: It is missing, empty or something else.
    """
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".json":
            names = [str(image["file_name"]) for image in json.loads(text)["images"]]
        else:
            names = [line.strip() for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"--val-list {path}: expected a picture a line, or COCO's JSON ({error!r})"
        ) from error
    if not names:
        raise InputError(f"--val-list {path}: names no picture")
    return frozenset(names)
