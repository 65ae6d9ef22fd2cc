"""Frames with their cameras, from whatever `--source` names."""

import itertools
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from p2o_demo.config import CaptureOptions
from p2o_demo.lens import picture_camera
from p2o_demo.pictures import PICTURE_SUFFIXES, list_pictures, read_picture
from p2o_demo.recording import PosedPicture, is_recording, read_recording
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import ByteArray

log = logging.getLogger(__name__)


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
    """

    frames: Iterator[Frame]
    count: int | None
    fps: float | None
    live: bool = False
    posed: bool = False


def open_source(source: str, options: CaptureOptions) -> Capture:
    """Open a webcam number, video file, picture, folder of pictures or posed recording.

    The first frame is read at once, so that a bad source is refused before anything slow begins.

    Raises:
        InputError: There is nothing there, or nothing this can read.
    """
    capture = _open(source, options)
    first = next(capture.frames)
    return replace(capture, frames=itertools.chain([first], capture.frames))


def _open(source: str, options: CaptureOptions) -> Capture:
    if source.isdecimal():
        return _open_webcam(int(source), options.fov_deg)
    path = Path(source)
    if path.is_dir():
        if is_recording(path):
            posed = read_recording(path, options)
            return Capture(_posed_frames(posed), len(posed), _frame_rate(posed), posed=True)
        paths = list_pictures(path)
        return Capture(_folder_frames(paths, options), len(paths), None)
    if not path.is_file():
        raise InputError(f"{path}: no such file; pass a picture, video, folder or webcam number")
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return Capture(iter([_picture_frame(path, options)]), 1, None)
    return _open_video(path, options.fov_deg)


def _picture_frame(path: Path, options: CaptureOptions) -> Frame:
    image = read_picture(path)
    return Frame(path.stem, image, picture_camera(path, image, options), 0)


def _folder_frames(paths: list[Path], options: CaptureOptions) -> Iterator[Frame]:
    """Yield the pictures that can be read, and say which cannot: they do not need each other."""
    unread = 0
    for path in paths:
        try:
            frame = _picture_frame(path, options)
        except InputError as error:
            log.warning("left out: %s", error)
            unread += 1
        else:
            yield frame
    if unread == len(paths):
        raise InputError(
            f"{paths[0].parent}: none of its {len(paths)} pictures can be read; see the lines above"
        )


def _posed_frames(posed: list[PosedPicture]) -> Iterator[Frame]:
    for item in posed:
        image = read_picture(item.path, upright=False)
        height, width = image.shape[:2]
        camera = Camera(item.K, width, height, item.world_from_camera, item.support_height)
        yield Frame(item.path.stem, image, camera, item.timestamp_ns)


def _frame_rate(posed: list[PosedPicture]) -> float:
    """Return the recording's frames a second, or 30 when its time stamps do not tell."""
    duration_ns = posed[-1].timestamp_ns - posed[0].timestamp_ns
    return (len(posed) - 1) * 1e9 / duration_ns if duration_ns > 0 else 30.0


def _open_video(path: Path, fov_deg: float) -> Capture:
    _silence_opencv()
    video = cv2.VideoCapture(str(path))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    fps = float(video.get(cv2.CAP_PROP_FPS))
    readable, first = video.read() if video.isOpened() else (False, None)
    if not readable or first is None:
        video.release()
        raise InputError(
            f"{path}: neither a picture nor a video that OpenCV can decode; "
            "convert it to H.264 in .mp4, or to JPEG"
        )
    fps = fps if np.isfinite(fps) and 1 <= fps <= 1000 else 30.0
    frames = _video_frames(video, np.asarray(first, dtype=np.uint8), fov_deg, fps)
    return Capture(frames, count if count > 0 else None, fps)


def _open_webcam(index: int, fov_deg: float) -> Capture:
    _silence_opencv()
    video = cv2.VideoCapture(index)
    readable, first = video.read() if video.isOpened() else (False, None)
    if not readable or first is None:
        video.release()
        raise InputError(f"webcam {index}: none there, or in use; try another number or a file")
    frames = _video_frames(video, np.asarray(first, dtype=np.uint8), fov_deg, None)
    return Capture(frames, None, 15.0, live=True)


def _silence_opencv() -> None:
    """Keep OpenCV and FFmpeg from printing their own lines beside our one."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    # FFmpeg's own switch, read by OpenCV when it opens the first video; -8 is AV_LOG_QUIET.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def _video_frames(
    video: cv2.VideoCapture, first: ByteArray, fov_deg: float, fps: float | None
) -> Iterator[Frame]:
    """Yield the first frame and the rest; times are real for a webcam, where `fps` is None."""
    start, index, image = cv2.getTickCount(), 0, first
    try:
        while True:
            rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            height, width = rgb.shape[:2]
            elapsed_s = (
                index / fps if fps else (cv2.getTickCount() - start) / cv2.getTickFrequency()
            )
            camera = Camera.from_fov(fov_deg, width, height)
            yield Frame(f"{index:06d}", rgb, camera, round(elapsed_s * 1e9))
            readable, following = video.read()
            if not readable or following is None:
                return
            image, index = np.asarray(following, dtype=np.uint8), index + 1
    finally:
        video.release()
