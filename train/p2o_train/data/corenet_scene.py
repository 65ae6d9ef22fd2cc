"""CoReNet's files: `dataset.json`, scenes, and the one camera that all of them have."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from p2o_train.data.npz_fields import NpzFields
from p2o_train.data.shards import read_json
from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray

ImageKind = Literal["opengl", "pbrt"]

EYE: FloatArray = np.array([0.5, 0.5, -0.8666666])
"""Where the camera of all scenes stands in reconstruction space; it looks along +z."""

CAMERA_FROM_RECONSTRUCTION: FloatArray = np.array(
    [[1, 0, 0, -EYE[0]], [0, -1, 0, EYE[1]], [0, 0, 1, -EYE[2]], [0, 0, 0, 1.0]]
)
"""(4, 4). The one mirror: its determinant is -1."""

NDC_FROM_CAMERA: FloatArray = np.array([[3**0.5, 0, 0], [0, 3**0.5, 0], [0, 0, 1.0]])
"""60 degrees across. (3, 3): homogeneous image position, -1..1, y down."""


@dataclass(frozen=True, eq=False)
class CoReNetScene:
    """What an NPZ file says of n objects.

    Attributes:
        labels: WordNet synset of each object, 8 digits.
        names: ShapeNet's id of each object's mesh.
        visible_fraction: (n,), 0..1.
        world_from_object: (n, 4, 4), affine; "object" is the mesh's own file.
        reconstruction_from_world: (4, 4), affine.
        image: (s, s, 3), RGB.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    visible_fraction: FloatArray
    world_from_object: FloatArray
    reconstruction_from_world: FloatArray
    image: ByteArray


@dataclass(frozen=True)
class CoReNetListing:
    """A `dataset.json`.

    Attributes:
        synsets: Name of each class, by WordNet synset.
        files: Scenes, paths below the file's folder.
    """

    synsets: dict[str, str]
    files: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "CoReNetListing":
        """Read and check a file.

        Raises:
            InputError: It is missing, lacks a field, or names files elsewhere.
        """
        if not path.is_file():
            raise InputError(
                f"{path}: no such file; unpack CoReNet's tar files below --root "
                "(see docs/datasets.md)"
            )
        values = read_json(path)
        try:
            synsets = {str(one["id"]): str(one["human_readable"]) for one in values["classes"]}
            files = tuple(values["files"])
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{path}: expected 'classes' (id, human_readable) and 'files', {error!r} is wrong"
            ) from error
        for file in files:
            if not isinstance(file, str) or Path(file).is_absolute() or ".." in Path(file).parts:
                raise InputError(f"{path}: 'files': expected paths below its folder, got {file!r}")
        return cls(synsets, files)


def read_scene(path: Path, image: ImageKind, synsets: dict[str, str]) -> CoReNetScene:
    """Read and check one NPZ file.

    Args:
        path: The file.
        image: Which picture to read.
        synsets: The synsets that `dataset.json` lists.

    Raises:
        InputError: A field is missing, of another shape or broken, or the camera is another one.
    """
    with NpzFields(path) as fields:
        labels, names = read_meshes(path, fields, synsets)
        n = {"n": len(labels)}
        visible = fields.floats("mesh_visible_fractions", "n", n)
        objects = fields.floats("mesh_object_to_world_transforms", "n 4 4", n)
        view = fields.floats("view_transform", "4 4")
        camera = fields.floats("camera_transform", "4 4")
        picture = fields.blob(f"{image}_image")
    if (visible < -1e-6).any() or (visible > 1 + 1e-6).any():
        raise InputError(f"{path}: mesh_visible_fractions must be in 0..1, got {visible.tolist()}")
    if not (_affine(objects) and _affine(view)):
        raise InputError(f"{path}: expected affine transforms, whose last row is 0 0 0 1")
    _check_camera(path, camera)
    return CoReNetScene(
        labels=labels,
        names=names,
        visible_fraction=visible.clip(0, 1),
        world_from_object=objects,
        reconstruction_from_world=view,
        image=_decode(path, f"{image}_image", picture),
    )


def read_meshes(
    path: Path, fields: NpzFields, synsets: dict[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the synset and ShapeNet's id of each object of an open scene, both checked.

    Raises:
        InputError: They are missing, of different number, or not what they should be.
    """
    labels, names = fields.texts("mesh_labels"), fields.texts("mesh_filenames")
    if not labels or len(labels) != len(names):
        raise InputError(
            f"{path}: expected a label and a file name per object, got {len(labels)} and "
            f"{len(names)}"
        )
    for label, name in zip(labels, names, strict=True):
        if label not in synsets:
            raise InputError(
                f"{path}: mesh_labels: {label!r} is no class of dataset.json, which lists "
                f"{', '.join(sorted(synsets))}"
            )
        if not re.fullmatch(r"[\w-][\w.-]*", name):
            raise InputError(f"{path}: mesh_filenames: {name!r} is no id of ShapeNet")
    return labels, names


def _affine(matrices: FloatArray) -> bool:
    return bool(np.allclose(matrices[..., 3, :], [0, 0, 0, 1], atol=1e-6))


def _check_camera(path: Path, image_from_reconstruction: FloatArray) -> None:
    """Refuse a camera other than the one that all released scenes have."""
    want = NDC_FROM_CAMERA @ CAMERA_FROM_RECONSTRUCTION[:3]
    # Depth (row 2) does not tell where a point is seen, and the whole has no scale.
    rows = image_from_reconstruction[[0, 1, 3]]
    scale = rows[2, 2]
    if scale == 0 or not np.allclose(rows / scale, want, atol=1e-4):
        raise InputError(
            f"{path}: camera_transform is not CoReNet's camera (60 degrees, at "
            f"{EYE.tolist()}, looking along +z, picture right = +x, picture up = +y)"
        )


def _decode(path: Path, name: str, data: bytes) -> ByteArray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            pixels = np.array(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path}: {name} cannot be decoded ({error})") from error
    if pixels.shape[0] != pixels.shape[1]:
        raise InputError(f"{path}: {name}: expected a square picture, got {pixels.shape[:2]}")
    return pixels


def intrinsics(size_px: int) -> FloatArray:
    """Return K, (3, 3), of a square picture."""
    half = size_px / 2
    pixels_from_ndc = np.array([[half, 0, half], [0, half, half], [0, 0, 1.0]])
    return np.asarray(pixels_from_ndc @ NDC_FROM_CAMERA)
