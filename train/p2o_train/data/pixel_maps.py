"""What a rendered picture shows at each pixel: which object, and how far away."""

import io
import struct
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.errors import InputError, check_shape
from points2objects.geometry import FloatArray, IntArray

MASK_SUFFIX = ".mask.png"
DEPTH_SUFFIX = ".depth.png"
DEPTH_STEPS = 1024
"""Steps of a stored depth per camera height: 1.5 mm for a phone at 1.5 m."""

MOST_PIXELS_ACROSS = 4096
"""Widest picture that is read: views are squares of some hundred pixels."""

_FARTHEST = 65535 / DEPTH_STEPS


@dataclass(frozen=True)
class PixelMaps:
    """Maps of one picture.

    Attributes:
        owner: (s, s), which of the sample's objects covers each pixel's centre, -1 for none.
        depth: (s, s), distance along the optical axis in camera heights; 0 where no surface is.
    """

    owner: IntArray
    depth: FloatArray

    def __post_init__(self) -> None:
        sizes = check_shape("owner", self.owner, "h w")
        check_shape("depth", self.depth, "h w", sizes)
        if self.owner.max(initial=-1) > 254:
            raise InputError(f"masks: at most 255 objects fit, got {self.owner.max() + 1}")


def mask_png(maps: PixelMaps) -> bytes:
    """Store owners as a PNG of bytes: 0 for none, else the object's number from 1."""
    return _png((maps.owner + 1).astype(np.uint8))


def depth_png(maps: PixelMaps) -> bytes:
    """Store depths as a PNG of 16 bits: 1024 steps a camera height, capped at 64 of them."""
    return _png(np.round(maps.depth.clip(0, _FARTHEST) * DEPTH_STEPS).astype(np.uint16))


def read_mask(png: bytes) -> IntArray:
    """Return owners, (s, s), -1 for none."""
    return np.asarray(read_picture(png), np.int64) - 1


def read_depth(png: bytes) -> FloatArray:
    """Return depths, (s, s), camera heights; 0 where no surface is."""
    return np.asarray(read_picture(png), np.float32) / DEPTH_STEPS


def _png(values: IntArray) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def read_picture(data: bytes, mode: str | None = None) -> npt.NDArray[Any]:
    """Decode a picture of a shard; its size is checked before a pixel is.

    Args:
        data: The file.
        mode: What to convert it to, as Pillow calls it; as it is when None.

    Raises:
        InputError: Larger than any view is.
        OSError: No picture, or damaged.
    """
    from PIL import Image

    with warnings.catch_warnings():
        # Pillow warns of what is refused below, and raises from twice that size on.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data)) as image:
                if max(image.size) > MOST_PIXELS_ACROSS:
                    raise InputError(
                        f"a picture of {image.width}x{image.height}; at most "
                        f"{MOST_PIXELS_ACROSS} pixels across are read"
                    )
                return np.array(image.convert(mode) if mode else image)
        except (Image.DecompressionBombError, SyntaxError, struct.error) as error:
            raise InputError(f"no picture that can be read ({error})") from error
