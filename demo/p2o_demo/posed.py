"""One picture of a recording and its camera, and the checks that need no pixels."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p2o_demo.listing import LeftOut
from p2o_demo.pictures import picture_size
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import FloatArray
from points2objects.plausible import doubt_of_intrinsics, doubts_of_session
from points2objects.scene import check_timestamp

log = logging.getLogger(__name__)

LEAST_STEP_NS = 100_000
"""No recording has more than ten thousand frames a second; its time stamps are in another unit."""


@dataclass(frozen=True, eq=False)
class PosedPicture:
    """A picture of a recording; its header is read, its pixels are not.

    Attributes:
        path: The picture.
        camera: Its camera: world +y up, metres; camera axes OpenCV's.
        timestamp_ns: Time of capture.
    """

    path: Path
    camera: Camera
    timestamp_ns: int


def posed_picture(
    path: Path,
    K: FloatArray,
    world_from_camera: FloatArray,
    support_height: float,
    timestamp_ns: object,
) -> PosedPicture:
    """Put a picture and its camera together.

    Args:
        path: The picture.
        K: (3, 3), pixels.
        world_from_camera: (4, 4), rigid, world +y up, metres; camera axes OpenCV's.
        support_height: Height of the support plane in that world, m.
        timestamp_ns: Time of capture.

    Raises:
        InputError: The picture's header cannot be read, or this cannot be its camera.
    """
    time_ns = check_timestamp(timestamp_ns)
    # The pose before the picture: what is wrong with all frames shows without any.
    Camera(K, *_any_size(K), world_from_camera, support_height)
    width, height = picture_size(path)
    camera = Camera(K, width, height, world_from_camera, support_height)
    doubt = doubt_of_intrinsics(camera)
    if doubt is not None:
        raise InputError(f"{path.name}: {doubt}")
    return PosedPicture(path, camera, time_ns)


def _any_size(K: FloatArray) -> tuple[int, int]:
    """Return a size that K can belong to, to check the pose with before the picture's is known."""
    if K.shape != (3, 3) or not np.isfinite(K).all():
        return 1, 1
    side = max(1, int(np.ceil(min(1e9, 2 * float(np.abs(K[:2]).max())))))
    return side, side


def usable(makers: Iterable[Callable[[], PosedPicture]], left_out: LeftOut) -> list[PosedPicture]:
    """Return the pictures that can be used, and leave out the others: each stands for itself.

    Raises:
        InputError: None can be used; the reason is the first one's.
    """
    pictures = []
    refused: list[InputError] = []
    for make in makers:
        try:
            pictures.append(make())
        except InputError as error:
            refused.append(error)
    if not pictures:
        raise InputError(f"{refused[0]} (and none of the other {len(refused) - 1} frames either)"
                         if len(refused) > 1 else str(refused[0]))  # fmt: skip
    for reason in refused:
        left_out.add(reason)
    _warn(pictures)
    return pictures


def _warn(pictures: list[PosedPicture]) -> None:
    for doubt in doubts_of_session([picture.camera for picture in pictures]):
        log.warning("%s", doubt)
    times = np.array([picture.timestamp_ns for picture in pictures], dtype=float)
    steps = np.diff(times)
    if (steps < 0).any():
        log.warning("time stamps go back: are the frames in order?")
    elif steps.any() and np.median(steps[steps > 0]) < LEAST_STEP_NS:
        log.warning("frames are %.3g ns apart: are the time stamps in nanoseconds?", steps.mean())
