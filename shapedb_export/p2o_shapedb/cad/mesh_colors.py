"""Colours per vertex out of material factors and textures."""

import io
import warnings
from typing import Any

import numpy as np

from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray

GREY = (170, 170, 170)
"""Colour of what has none."""

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TGA", "GIF", "TIFF", "DDS")


def srgb_from_linear(linear: FloatArray) -> FloatArray:
    """Encode linear light 0..1 as sRGB 0..1."""
    linear = np.clip(np.nan_to_num(linear), 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


class ImageReader:
    """Decodes the textures of one file within a budget of pixels, each once."""

    def __init__(self, max_pixels: int) -> None:
        self._left = max_pixels
        self._decoded: dict[int, tuple[Any, ByteArray]] = {}

    def decode(self, data: bytes) -> ByteArray:
        """Return an image, (h, w, 3) uint8 sRGB.

        Raises:
            InputError: No image of a known kind, damaged, or more pixels than are left.
        """
        from PIL import Image

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning; the budget decides here
            try:
                image = Image.open(io.BytesIO(data), formats=_FORMATS)
            except Exception as error:  # Pillow's decoders raise whatever they stumble over
                raise InputError(
                    f"is no image that can be read ({type(error).__name__})"
                ) from error
        return self.pixels(image)

    def pixels(self, image: Any) -> ByteArray:
        """Return the pixels of an image that Pillow has opened; errors as in `decode`."""
        # The image is kept with its pixels: an id is free again once its object is gone.
        if id(image) in self._decoded:
            return self._decoded[id(image)][1]
        if image.format not in _FORMATS:  # Pillow would start Ghostscript for some
            raise InputError(f"is an image of the kind {image.format}, which is not read")
        width, height = image.size
        if width * height > self._left:
            raise InputError(f"is {width}x{height} pixels, more than are read for a file")
        self._left -= width * height
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = np.asarray(image.convert("RGB"), np.uint8)
            except Exception as error:
                raise InputError(f"is a damaged image ({type(error).__name__})") from error
        self._decoded[id(image)] = (image, found)
        return found


def sample_nearest(image: ByteArray, uv: FloatArray) -> ByteArray:
    """Read a repeating texture at points, (v, 3).

    Args:
        image: (h, w, 3).
        uv: (v, 2) in 0..1, origin at the image's top left corner, v downwards.
    """
    height, width = image.shape[:2]
    with np.errstate(invalid="ignore"):  # some NaN count as invalid when cast
        unit = np.nan_to_num(np.asarray(uv, float), posinf=0.0, neginf=0.0)[:, :2] % 1.0
    column = np.minimum((unit[:, 0] * width).astype(int), width - 1)
    row = np.minimum((unit[:, 1] * height).astype(int), height - 1)
    return np.asarray(image[row, column])


def to_bytes(colors: FloatArray) -> ByteArray:
    """Round colours of 0..1 to uint8."""
    return np.clip(np.round(np.asarray(colors) * 255.0), 0, 255).astype(np.uint8)


def colors_to_bytes(colors: FloatArray) -> ByteArray | None:
    """Convert colours that a text format gives as 0..1 or as 0..255.

    Args:
        colors: (n, 3); NaN where there is none, which becomes grey.

    Returns:
        (n, 3) uint8, or None if none is given or they are out of range.
    """
    given = np.isfinite(colors).all(axis=1)
    if not given.any() or colors[given].min() < 0:
        return None
    # No file is all but black: values up to 1 are shares, whole or not.
    scale = 255.0 if colors[given].max() <= 1 else 1.0
    found = np.tile(np.array([GREY], np.uint8), (len(colors), 1))
    found[given] = np.clip(np.round(colors[given] * scale), 0, 255)
    return found
