"""Pictures one after the other, with their times: video files, webcams and network cameras."""

import logging
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from p2o_demo.names import displayed, native_path
from p2o_demo.pictures import MOST_PIXELS
from p2o_demo.quiet import silence_opencv
from points2objects.errors import InputError
from points2objects.geometry import ByteArray

log = logging.getLogger(__name__)

URL_SCHEMES = ("http", "https", "rtsp", "rtsps")
URL_TIMEOUT_MS = 10_000
USUAL_FPS = 30.0
LIVE_FPS = 15.0
"""Frames a second of the overlays of a live source: about what the model keeps up with."""
MOST_WEBCAM = 1000


@dataclass(frozen=True, eq=False)
class TimedImage:
    """A decoded picture.

    Attributes:
        image: (h, w, 3), RGB.
        time_ns: Since the first one.
    """

    image: ByteArray
    time_ns: int


@dataclass(frozen=True)
class Stream:
    """An opened video, webcam or network camera.

    Attributes:
        images: Pictures in order, decoded as they are asked for.
        count: How many there should be; None when only the end will tell.
        fps: Frames a second, on average.
        live: They come from a camera, and end when the user says so.
    """

    images: Iterator[TimedImage]
    count: int | None
    fps: float
    live: bool


def is_url(source: str) -> bool:
    """Tell whether a source is an address rather than a file; `C:/` is a drive."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", source) is not None


def shown_url(url: str) -> str:
    """Return an address without what must not be shown: user, password, query."""
    scheme, _, rest = url.partition(":")
    host_and_path = re.split(r"[?#]", rest.lstrip("/"), maxsplit=1)[0]
    # The last @: passwords may hold one too.
    return displayed(f"{scheme}://{host_and_path.rpartition('@')[2]}")


def open_video(path: Path) -> Stream:
    """Open a video file.

    Raises:
        InputError: OpenCV cannot decode it.
    """
    silence_opencv()
    with native_path(path) as name:
        # By name, as otherwise OpenCV also takes "clip01.jpg" for a series of pictures.
        video = cv2.VideoCapture(name, _file_backend())
    return _stream(
        video,
        f"{displayed(path)}: neither a picture nor a video that OpenCV can decode; "
        "convert it to H.264 in .mp4, or to JPEG",
        live=False,
    )


def open_webcam(index: int) -> Stream:
    """Open a webcam.

    Raises:
        InputError: There is none of this number, or it is in use.
    """
    silence_opencv()
    refused = f"webcam {index}: none there, or in use; try another number or a file"
    if index > MOST_WEBCAM:
        raise InputError(refused)
    return _stream(cv2.VideoCapture(index), refused, live=True)


def open_url(url: str) -> Stream:
    """Open a network camera or a video on a server.

    Raises:
        InputError: Another kind of address, or nothing to decode there.
    """
    silence_opencv()
    scheme = url.partition(":")[0].lower()
    if scheme not in URL_SCHEMES:
        raise InputError(
            f"{shown_url(url)}: addresses begin with {', '.join(URL_SCHEMES)}; for anything else "
            "save the video and pass the file"
        )
    timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC]
    options = [value for name in timeouts for value in (name, URL_TIMEOUT_MS)]
    return _stream(
        cv2.VideoCapture(url, cv2.CAP_FFMPEG, options),
        f"{shown_url(url)}: no video came from there within {URL_TIMEOUT_MS // 1000} s; "
        "is the address right, and user and password?",
        live=scheme.startswith("rtsp"),
    )


def file_of_url(url: str) -> Path:
    """Return the file that a `file://` address names."""
    return Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))


def _file_backend() -> int:
    known = cv2.videoio_registry.getStreamBackends()
    return cv2.CAP_FFMPEG if cv2.CAP_FFMPEG in known else cv2.CAP_ANY


def _stream(video: cv2.VideoCapture, refused: str, live: bool) -> Stream:
    """Read the first picture, so that a bad source is refused before anything slow begins."""
    count, fps = 0, USUAL_FPS
    try:
        size = video.get(cv2.CAP_PROP_FRAME_WIDTH) * video.get(cv2.CAP_PROP_FRAME_HEIGHT)
        count = int(np.clip(np.nan_to_num(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0, 2**31))
        fps = float(video.get(cv2.CAP_PROP_FPS))
        readable = video.isOpened() and size <= MOST_PIXELS
        first = _read(video) if readable else None
    except cv2.error:
        first = None
    if first is None:
        video.release()
        raise InputError(refused)
    live = live or count == 0
    fps = fps if np.isfinite(fps) and 1 <= fps <= 1000 else USUAL_FPS
    if live:
        return Stream(_live(video, first), None, LIVE_FPS, live=True)
    return Stream(_recorded(video, first, fps, count), count, fps, live=False)


def _read(video: cv2.VideoCapture) -> ByteArray | None:
    """Return the next picture in RGB; None at the end."""
    readable, image = video.read()
    if not readable or image is None:
        return None
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _recorded(
    video: cv2.VideoCapture, first: ByteArray, fps: float, count: int
) -> Iterator[TimedImage]:
    """Yield the pictures with the times of the file: phones record at a varying rate."""
    image: ByteArray | None = first
    start_ms, time_ns, index = video.get(cv2.CAP_PROP_POS_MSEC), 0, 0
    try:
        while image is not None:
            yield TimedImage(image, time_ns)
            image = _read(video)
            told_ns = round((video.get(cv2.CAP_PROP_POS_MSEC) - start_ms) * 1e6)
            # Some containers tell no times.
            time_ns = told_ns if told_ns > time_ns else time_ns + round(1e9 / fps)
            index += 1
        if index + 1 < 0.9 * count:
            log.warning("the video says %d frames, but only %d can be decoded", count, index)
    finally:
        video.release()


def _live(video: cv2.VideoCapture, first: ByteArray) -> Iterator[TimedImage]:
    image: ByteArray | None = first
    start = cv2.getTickCount()
    try:
        while image is not None:
            elapsed_s = (cv2.getTickCount() - start) / cv2.getTickFrequency()
            yield TimedImage(image, round(elapsed_s * 1e9))
            image = _read(video)
    finally:
        video.release()
