"""Photographs behind the rendered objects: crops that show no object of the classes."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from points2objects.geometry import ByteArray, FloatArray

CROP_PX = 256
_ATTEMPTS = 24


@dataclass(frozen=True)
class Photo:
    """A photograph and what must not be cut out of it.

    Attributes:
        pixels: (h, w, 3).
        furniture: Boxes around everything like an object of the classes, (n, 4): left, top, right,
            bottom as shares of width and height. None: nobody has looked.
    """

    pixels: ByteArray
    furniture: FloatArray | None


def furniture_of(names: Iterable[str]) -> list[FloatArray | None]:
    """Return the boxes that are known of photographs by file name; None for the others."""
    text = resources.files("p2o_train.rendering").joinpath("assets/photo_furniture.json")
    boxes = json.loads(text.read_text("utf-8"))["boxes"]
    return [
        np.array(boxes[name], float).reshape(-1, 4) / 10 if name in boxes else None
        for name in names
    ]


def load_photo(path: Path, pixels: ByteArray) -> Photo:
    """Put a photograph's pixels and what is known of it together."""
    return Photo(pixels, furniture_of([path.name])[0])


def draw_crop(rng: np.random.Generator, photo: Photo) -> ByteArray:
    """Cut a background out of a photograph, (256, 256, 3).

    Where the furniture is known, a large sharp piece without any; real plants, lamps, beds and
    shelves then teach what is no object. Otherwise a small blurred piece, in which no whole object
    is left.
    """
    import cv2

    window = _clear_window(rng, photo)
    blur = float(rng.uniform(0.0, 1.5))
    if window is None:
        side = int(min(photo.pixels.shape[:2]) * rng.uniform(0.1, 0.25))
        top, left = (int(rng.integers(s - side)) for s in photo.pixels.shape[:2])
        window, blur = (top, left, side), float(rng.uniform(1.5, 6.0))
    top, left, side = window
    cut = photo.pixels[top : top + side, left : left + side]
    way = cv2.INTER_AREA if side > CROP_PX else cv2.INTER_CUBIC
    pixels = cv2.resize(np.ascontiguousarray(cut), (CROP_PX, CROP_PX), interpolation=way)
    if blur > 0.1:
        pixels = cv2.GaussianBlur(pixels, (0, 0), blur)
    mirrored = rng.random() < 0.5
    return np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels, dtype=np.uint8)


def _clear_window(rng: np.random.Generator, photo: Photo) -> tuple[int, int, int] | None:
    """Return top, left and side of a square that touches no furniture; None if none was found."""
    if photo.furniture is None:
        return None
    height, width = photo.pixels.shape[:2]
    boxes = photo.furniture * [width, height, width, height]
    for _ in range(_ATTEMPTS):
        side = int(min(height, width) * rng.uniform(0.3, 1.0))
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        beside = (
            (boxes[:, 0] >= left + side)
            | (boxes[:, 2] <= left)
            | (boxes[:, 1] >= top + side)
            | (boxes[:, 3] <= top)
        )
        if beside.all():
            return top, left, side
    return None
