"""The camera of a single picture: what its file tells of the lens, or a usual one."""

import logging
from pathlib import Path

from p2o_demo.config import CaptureOptions
from points2objects.camera import Camera
from points2objects.exif import exif_fov_deg
from points2objects.geometry import ByteArray

log = logging.getLogger(__name__)


def picture_camera(path: Path, image: ByteArray, options: CaptureOptions) -> Camera:
    """Return the camera of a picture that came without one, (h, w, 3).

    A field of view that the user gives goes before what the file says of itself.
    """
    height, width = image.shape[:2]
    told = exif_fov_deg(path.read_bytes(), width, height) if options.heed_exif else None
    if told is None:
        return Camera.from_fov(options.fov_deg, width, height)
    log.info("%s: field of view %.0f degrees, by its EXIF data", path.name, told)
    return Camera.from_fov(told, width, height)
