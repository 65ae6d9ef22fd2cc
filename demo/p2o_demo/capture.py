"""Frames with their cameras, from whatever `--source` names."""

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from p2o_demo import streams
from p2o_demo.config import CaptureOptions
from p2o_demo.foreign import pose_files
from p2o_demo.lens import picture_camera
from p2o_demo.listing import LeftOut, list_pictures
from p2o_demo.names import displayed, user_path
from p2o_demo.pictures import PICTURE_SUFFIXES, count_pictures, read_picture
from p2o_demo.posed import PosedPicture
from p2o_demo.recording import is_recording, read_recording
from p2o_demo.sniff import RAW_SUFFIXES, VIDEO_SUFFIXES, file_kind
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import ByteArray

log = logging.getLogger(__name__)

USUAL_FPS = 30.0
MOST_FPS = 240.0
"""Beyond, time stamps are in another unit; overlays are then shown at the usual rate."""


@dataclass(frozen=True)
class Frame:
    """One frame on its way to the model.

    Attributes:
        name: File stem or number, for output names and messages.
        image: (h, w, 3), RGB.
        camera: Its camera; without a pose unless a recording knows it.
        timestamp_ns: Time of capture; 0-based for files.
    """

    name: str
    image: ByteArray
    camera: Camera
    timestamp_ns: int


@dataclass(frozen=True)
class Capture:
    """An opened source.

    Attributes:
        frames: Frames in order, read as they are asked for.
        count: How many there are; None when only the end will tell.
        fps: Frames a second of a sequence; None for pictures that have nothing to do with
            each other.
        live: Frames come from a camera, and end when the user says so.
        posed: Frames come with poses, so that scenes are in metres.
        left_out: Counts the frames that cannot be used.
    """

    frames: Iterator[Frame]
    count: int | None
    fps: float | None
    live: bool = False
    posed: bool = False
    left_out: LeftOut = field(default_factory=LeftOut)


def open_source(source: str, options: CaptureOptions) -> Capture:
    """Open a webcam number, address, video file, picture, folder of pictures or posed recording.

    The first frame is read at once, so that a bad source is refused before anything slow begins.

    Raises:
        InputError: There is nothing there, or nothing this can read.
    """
    try:
        capture = _open(source, options)
        first = next(capture.frames)
    except OSError as error:
        shown = streams.shown_url(source) if streams.is_url(source) else displayed(source)
        raise InputError(f"{shown}: cannot be read: {error.strerror or error}") from error
    return replace(capture, frames=itertools.chain([first], capture.frames))


def _open(source: str, options: CaptureOptions) -> Capture:
    if source.isdecimal():
        return _seen(streams.open_webcam(int(source[:9])), options)
    if streams.is_url(source) and not source.lower().startswith("file:"):
        return _seen(streams.open_url(source), options)
    if not source:
        raise InputError("--source is empty; pass a picture, video, folder or webcam number")
    path = streams.file_of_url(source) if streams.is_url(source) else user_path(source)
    if path.is_dir():
        return _open_recording(path, options) if is_recording(path) else _open_folder(path, options)
    if not path.is_file():
        raise InputError(
            f"{displayed(path)}: no such file; pass a picture, video, folder or webcam number"
        )
    return _open_picture(path, options) if _is_picture(path) else _open_video(path, options)


def _is_picture(path: Path) -> bool:
    """Tell a picture by what is in the file before what it is called; a GIF may be a film."""
    kind = file_kind(path)
    if path.suffix.lower() in RAW_SUFFIXES:
        return True
    if kind == "GIF":
        return count_pictures(path) == 1
    if kind == "video":
        return False
    return kind is not None or path.suffix.lower() in PICTURE_SUFFIXES


def _open_picture(path: Path, options: CaptureOptions) -> Capture:
    return Capture(iter([_picture_frame(path, options)]), 1, None)


def _open_folder(path: Path, options: CaptureOptions) -> Capture:
    poses = pose_files(path)
    try:
        pictures = list_pictures(path)
    except InputError as error:
        raise InputError(f"{error}; {poses}" if poses else str(error)) from error
    if poses:
        log.warning("%s", poses)
    left_out = LeftOut()
    frames = _folder_frames(pictures, options, left_out)
    return Capture(frames, len(pictures), None, left_out=left_out)


def _open_recording(path: Path, options: CaptureOptions) -> Capture:
    left_out = LeftOut()
    posed = read_recording(path, options, left_out)
    frames = _posed_frames(posed, left_out)
    return Capture(frames, len(posed), _frame_rate(posed), posed=True, left_out=left_out)


def _open_video(path: Path, options: CaptureOptions) -> Capture:
    if file_kind(path) is None and path.suffix.lower() not in VIDEO_SUFFIXES:
        # FFmpeg finds a film in nearly anything, an archive of pictures for example.
        raise InputError(
            f"{displayed(path)}: neither a picture nor a video that OpenCV can decode; "
            "convert it to H.264 in .mp4, or to JPEG"
        )
    poses = pose_files(path.parent, beside=False)
    if poses:
        log.warning("%s", poses)
    return _seen(streams.open_video(path), options)


def _seen(stream: streams.Stream, options: CaptureOptions) -> Capture:
    """Give the pictures of a stream their cameras."""
    frames = (
        Frame(
            f"{index:06d}",
            timed.image,
            Camera.from_fov(options.fov_deg, timed.image.shape[1], timed.image.shape[0]),
            timed.time_ns,
        )
        for index, timed in enumerate(stream.images)
    )
    return Capture(frames, stream.count, stream.fps, stream.live)


def _picture_frame(path: Path, options: CaptureOptions) -> Frame:
    image = read_picture(path)
    return Frame(displayed(path.stem), image, picture_camera(path, image, options), 0)


def _folder_frames(
    paths: list[Path], options: CaptureOptions, left_out: LeftOut
) -> Iterator[Frame]:
    """Yield the pictures that can be read, and say which cannot: they do not need each other."""
    for path in paths:
        try:
            frame = _picture_frame(path, options)
        except InputError as error:
            left_out.add(error)
        else:
            yield frame
    if left_out.count == len(paths):
        raise InputError(
            f"{displayed(paths[0].parent)}: none of its {len(paths)} pictures can be read; see the "
            "lines above"
        )


def _posed_frames(posed: list[PosedPicture], left_out: LeftOut) -> Iterator[Frame]:
    """Yield the frames whose pictures are whole, as the sensor saw them."""
    unread = 0
    for item in posed:
        try:
            image = read_picture(item.path, upright=False)
        except InputError as error:
            left_out.add(error)
            unread += 1
        else:
            yield Frame(displayed(item.path.stem), image, item.camera, item.timestamp_ns)
    if unread == len(posed):
        raise InputError(
            f"{displayed(posed[0].path.parent)}: none of the {unread} frames can be read; see the "
            "lines above"
        )


def _frame_rate(posed: list[PosedPicture]) -> float:
    """Return the recording's frames a second, or 30 when its time stamps do not tell."""
    duration_ns = posed[-1].timestamp_ns - posed[0].timestamp_ns
    fps = (len(posed) - 1) * 1e9 / duration_ns if duration_ns > 0 else USUAL_FPS
    return fps if 0.1 <= fps <= MOST_FPS else USUAL_FPS
