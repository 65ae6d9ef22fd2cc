"""Reading one picture as the runtime wants it, or saying why not.

The header is read first: what is too large, animated or of another kind is refused before its
pixels take memory.
"""

import contextlib
import importlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, features

from p2o_demo.names import displayed
from p2o_demo.quiet import quiet_stderr
from p2o_demo.sniff import RAW_SUFFIXES, FileKind, file_kind
from points2objects.errors import InputError
from points2objects.geometry import ByteArray

PICTURE_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
    *(".heic", ".heif", ".hif", ".jp2", ".jxl", *RAW_SUFFIXES),
)
"""Endings of pictures; those of the last line are named when they are refused, not passed over."""

MOST_PIXELS = 120_000_000
"""More than phones of 108 megapixels take; up to 8 bytes each are needed on the way."""

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_STRIP_ROWS = 256
_GREY = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey with alpha",
    "La": "grey with alpha",
    "F": "float numbers",
}


def read_picture(path: Path, upright: bool = True) -> ByteArray:
    """Read a picture, (h, w, 3) RGB.

    Opaque alpha is dropped; what shows through is put on white, as a viewer would show it.

    Args:
        path: The file.
        upright: Turn it by its EXIF orientation; off for pictures whose camera is known, as K
            and pose are the sensor's.

    Raises:
        InputError: Not there, not readable, too large, animated, or not colours of eight bits:
            grey pictures are often depths or masks, so they are refused and not guessed about.
    """
    with _opened(path) as picture:
        if upright:
            ImageOps.exif_transpose(picture, in_place=True)  # a copy would take as much again
        return _pixels(_in_rgb(picture))


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height as stored, from the header alone.

    Raises:
        InputError: As `read_picture` would for what the header tells.
    """
    with _opened(path) as picture:
        return picture.size


def count_pictures(path: Path) -> int:
    """Return how many pictures a file holds: more than one for an animation.

    Raises:
        InputError: It is no picture that can be read.
    """
    with _opened(path, still=False) as picture:
        return int(getattr(picture, "n_frames", 1))


@contextlib.contextmanager
def _opened(path: Path, still: bool = True) -> Iterator[Image.Image]:
    """Open a picture and check what its header says, its pixels not read yet."""
    if path.suffix.lower() in RAW_SUFFIXES:
        # Pillow would open the thumbnail that lies in front.
        raise InputError(f"{displayed(path)}: raw pictures are not read; save it as JPEG")
    # Pillow's own limit only warns below twice its size; ours is checked next.
    Image.MAX_IMAGE_PIXELS = None
    try:
        # The picture libraries print why they fail, and Pillow warns; our one line must do.
        with quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_formats()) as picture:
                _check_header(path, picture, still)
                yield picture
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(
            f"{displayed(path)}: no such file; pass a picture, video, folder or webcam number"
        ) from error
    except PermissionError as error:
        raise InputError(f"{displayed(path)}: may not be read ({error.strerror})") from error
    except Exception as error:
        # A damaged file makes Pillow's decoders raise nearly anything.
        raise InputError(f"{displayed(path)}: {_why_not(path)}") from error


def _formats() -> tuple[str, ...]:
    """Return the formats that may be opened; HEIF only if the package for it is installed."""
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
        return (*_FORMATS, "HEIF")
    return _FORMATS


def _check_header(path: Path, picture: Image.Image, still: bool) -> None:
    width, height = picture.size
    name = displayed(path)
    if width * height > MOST_PIXELS:
        raise InputError(
            f"{name}: {width}x{height} pixels; at most {MOST_PIXELS // 10**6} million are read, "
            "so make it smaller"
        )
    count = getattr(picture, "n_frames", 1)
    # MPO is a phone's JPEG with a second view or a depth behind the picture itself.
    if still and count > 1 and picture.format not in ("MPO", "HEIF"):
        raise InputError(
            f"{name}: holds {count} pictures, not one; save the one you mean as JPEG, or an "
            "animation as .mp4"
        )
    if picture.mode.startswith("I") or re.search(r";16[BLN]", str(getattr(picture, "tile", ""))):
        raise InputError(f"{name}: expected 8 bits per channel, got 16 or more; convert it")
    if picture.mode in _GREY and still:
        raise InputError(
            f"{name}: expected an RGB picture, got {_GREY[picture.mode]}; convert it to RGB first"
        )


def _in_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode == "CMYK" or not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    if picture.getchannel("A").getextrema() == (255, 255):
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, picture).convert("RGB")


def _pixels(picture: Image.Image) -> ByteArray:
    """Copy strip by strip: all at once takes three times the memory."""
    width, height = picture.size
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    for top in range(0, height, _STRIP_ROWS):
        bottom = min(height, top + _STRIP_ROWS)
        pixels[top:bottom] = np.asarray(picture.crop((0, top, width, bottom)))
    return pixels


def _why_not(path: Path) -> str:
    kind: FileKind | None = None
    with contextlib.suppress(OSError):
        kind = file_kind(path)
    if kind == "HEIC":
        return (
            "HEIC pictures are not read; save it as JPEG (iPhone: Settings, Camera, Formats, Most "
            "Compatible), or run pip install pillow-heif"
        )
    if kind == "a ZIP archive":
        return "is a ZIP archive; unpack it and pass the folder"
    if kind == "AVIF" and not features.check("avif"):
        return "AVIF is not read by this Pillow; save it as JPEG or PNG"
    if kind in ("JPEG XL", "JPEG 2000", "a playlist", "a Photoshop file", "a PDF"):
        return f"is {kind}, which is not read; save it as JPEG or PNG"
    return "not a readable picture; save it again as JPEG or PNG"
