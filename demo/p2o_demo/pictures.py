"""Reading one picture as the runtime wants it, or saying why not."""

from pathlib import Path

import cv2
import numpy as np

from p2o_demo.quiet import quiet_stderr
from points2objects.errors import InputError
from points2objects.geometry import ByteArray

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def read_picture(path: Path, upright: bool = True) -> ByteArray:
    """Read a picture, (h, w, 3) RGB.

    Args:
        path: The file.
        upright: Turn it by its EXIF orientation; off for pictures whose camera is known, as K
            and pose are the sensor's.

    Raises:
        InputError: Not there, not readable, or not three channels of eight bits: grey and alpha
            are refused, not guessed away.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; pass a picture, video, folder or webcam number")
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    stored = _decode(data, cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise InputError(f"{path}: not a readable picture; save it again as JPEG or PNG")
    if stored.dtype != np.uint8:
        raise InputError(f"{path}: expected 8 bits per channel, got {stored.dtype}; convert it")
    channels = 1 if stored.ndim == 2 else stored.shape[2]
    if channels != 3:
        kind = {1: "grey", 2: "grey with alpha", 4: "RGBA"}.get(channels, f"{channels} channels")
        raise InputError(f"{path}: expected an RGB picture, got {kind}; convert it to RGB first")
    # Only this second decoding can heed the EXIF orientation.
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = np.asarray(_decode(data, flags), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _decode(data: ByteArray, flags: int) -> cv2.typing.MatLike | None:
    if not data.size:
        return None
    # The picture libraries print why they fail; our one line must do.
    with quiet_stderr():
        return cv2.imdecode(data, flags)


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder by name, without those of its sub-folders.

    Raises:
        InputError: There is none.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise InputError(
            f"{folder}: holds no pictures ({', '.join(PICTURE_SUFFIXES)}); pass a folder with some"
        )
    return paths
