"""Real images to measure activation ranges and stage errors with."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p2o_convert.config import MIN_CALIBRATION_IMAGES
from p2o_shapedb.database import ShapeDB
from points2objects.camera import Camera
from points2objects.errors import InputError, check_shape
from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")

FLAT_STD = 1.0
"""An image whose grey levels vary less is one flat colour; it says nothing about activations."""


@dataclass(frozen=True)
class Calibration:
    """Canonical views and where they come from.

    Attributes:
        images: (n, s, s, 3), RGB.
        source: For the report, in words.
    """

    images: ByteArray
    source: str

    def __post_init__(self) -> None:
        check_shape("calibration images", self.images, "n s s 3")


def from_dataset(folder: Path, shapedb: ShapeDB, spec: ModelSpec, count: int) -> Calibration:
    """Take images of a dataset's train split, evenly spread.

    Raises:
        InputError: No dataset, too few images, or flat ones.
    """
    from p2o_train.data.rendered import RenderedDataset
    from p2o_train.resized import at_size

    dataset = RenderedDataset(folder, "train", shapedb)
    _check_count(len(dataset), f"{folder} (train)")
    chosen = spread(len(dataset), count)
    named = (
        (f"{folder} train image {i}", at_size(dataset[i], spec.input_size).image) for i in chosen
    )
    return Calibration(_stack(named, spec), f"{len(chosen)} images of the dataset's train split")


def from_folder(folder: Path, spec: ModelSpec, count: int) -> Calibration:
    """Take pictures of a folder, evenly spread over their names, each as the network sees it.

    Raises:
        InputError: No folder, too few pictures, unreadable or flat ones.
    """
    if not folder.is_dir():
        raise InputError(f"--calibration: {folder} is no folder")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    _check_count(len(paths), str(folder))
    chosen = [paths[i] for i in spread(len(paths), count)]
    named = ((str(path), _read_canonical(path, spec)) for path in chosen)
    return Calibration(_stack(named, spec), f"{len(chosen)} pictures of {folder.name}/")


def spread(available: int, count: int) -> list[int]:
    """Return at most `count` indices, evenly spread over `available`, ends included."""
    count = min(count, available)
    return [int(i) for i in np.linspace(0, available - 1, count).round()] if count else []


def _check_count(have: int, where: str) -> None:
    if have < MIN_CALIBRATION_IMAGES:
        raise InputError(
            f"calibration: {where} holds {have} images, at least {MIN_CALIBRATION_IMAGES} are "
            "needed (200 are better); add pictures of the kind the model will see"
        )


def _stack(named: Iterable[tuple[str, ByteArray]], spec: ModelSpec) -> ByteArray:
    images = []
    size = spec.input_size
    for name, image in named:
        check_shape(f"calibration: {name}", image, f"{size} {size} 3")
        if image.std() < FLAT_STD:
            raise InputError(f"calibration: {name} is one flat colour; remove or replace it")
        images.append(image)
    return np.stack(images)


def _read_canonical(path: Path, spec: ModelSpec) -> ByteArray:
    """Read a picture of any size as if its longer side spanned the model's field of view."""
    from PIL import Image, ImageOps

    from points2objects.preprocess import preprocess

    try:
        with Image.open(path) as opened:
            image = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"calibration: {path} is not a readable picture ({error})") from error
    height, width = image.shape[:2]
    return preprocess(image, Camera.from_fov(spec.fov_deg, width, height), spec).image
