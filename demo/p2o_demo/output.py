"""What a run leaves behind: overlays, one JSON line a frame, one GLB."""

import contextlib
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from p2o_demo.names import displayed, native_path, shortened
from p2o_demo.quiet import silence_opencv
from points2objects.errors import InputError
from points2objects.geometry import ByteArray
from points2objects.staging import cure, staged_folder

SCENES_NAME = "scenes.jsonl"
SCENE_GLB_NAME = "scene.glb"
VIDEO_NAME = "overlay.mp4"


@contextlib.contextmanager
def output_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """Give a temporary folder that becomes `out` when the body succeeds.

    What earlier runs left beside `out` when they were killed is removed.

    Raises:
        InputError: `out` exists and `overwrite` is off, is not the output of an earlier run, or
            the file system refuses, be it for the folder or for what the body writes.
    """
    try:
        # Through a link, so that the folder it leads to is replaced and not the link.
        target = out.resolve()
        _check_replaceable(target, out, overwrite)
        with staged_folder(target) as folder:
            yield folder
    except OSError as error:
        raise InputError(
            f"cannot write {displayed(out)}: {error.strerror or error}; "
            f"{cure(error, 'choose another --out')}"
        ) from error


def _check_replaceable(target: Path, out: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise InputError(
            f"{displayed(out)} exists; add --overwrite to replace it, or choose another --out"
        )
    # A slip in --out must not cost anybody a folder of their own.
    if target.exists() and not (target / SCENES_NAME).is_file() and not _is_empty_folder(target):
        raise InputError(
            f"{displayed(out)} is not the output of an earlier run; choose another --out"
        )


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


class OverlayWriter:
    """Writes overlays as one video, or as pictures where that cannot be."""

    def __init__(self, folder: Path, fps: float | None) -> None:
        """Prepare for a sequence of `fps` frames a second, or for single pictures if None."""
        self._folder = folder
        self._fps = fps
        self._video: cv2.VideoWriter | None = None
        self._size: tuple[int, int] | None = None
        self._names: set[str] = set()
        self._n_written = 0

    def write(self, name: str, overlay: ByteArray) -> str:
        """Append one overlay, (h, w, 3) RGB; return what it is called.

        That is `name`, or where another picture has it, `name-2`. A video keeps the size of its
        first overlay, and others are fitted into it.

        Raises:
            InputError: The overlay is too large for a JPEG file.
            OSError: It cannot be written.
        """
        size = (overlay.shape[1], overlay.shape[0])
        if self._size is None:
            self._size = size
            self._video = self._open_video(size)
        bgr = np.asarray(cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR), dtype=np.uint8)
        if self._video is None:
            name = self._write_picture(name, bgr)
        else:
            self._video.write(bgr if size == self._size else fitted(bgr, self._size))
        self._n_written += 1
        return name

    def _write_picture(self, name: str, bgr: ByteArray) -> str:
        encoded, data = _encode_jpeg(bgr)
        if not encoded:
            raise InputError(
                f"frame {name}: {bgr.shape[1]}x{bgr.shape[0]} is too large for a JPEG; shrink it"
            )
        # Written by Python: OpenCV's own writing ends the process at a name that is no UTF-8.
        unique = self._unique(name)
        (self._folder / f"{unique}.jpg").write_bytes(data)
        return unique

    def _unique(self, name: str) -> str:
        name = shortened(name)
        unique, copies = name, 1
        # Some file systems take "A" for "a", and one way to write an accent for the other.
        while (key := unicodedata.normalize("NFC", unique).casefold()) in self._names:
            copies += 1
            unique = f"{name}-{copies}"
        self._names.add(key)
        return unique

    def _open_video(self, size: tuple[int, int]) -> cv2.VideoWriter | None:
        if self._fps is None:
            return None
        silence_opencv()
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        path = self._folder / VIDEO_NAME
        with native_path(path) as name:
            video = cv2.VideoWriter(name, codec, self._fps, size)
        if video.isOpened():
            return video
        video.release()
        path.unlink(missing_ok=True)
        return None

    def close(self) -> str:
        """Finish the file and return the name of what to open, inside the folder.

        Raises:
            InputError: The video is incomplete: OpenCV does not say when a disk is full.
        """
        if self._video is None:
            return "*.jpg"
        if self._video.isOpened():
            self._video.release()
            self._check_video()
        return VIDEO_NAME

    def _check_video(self) -> None:
        with native_path(self._folder / VIDEO_NAME) as name:
            video = cv2.VideoCapture(name)
        whole = video.isOpened() and int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == self._n_written
        video.release()
        if not whole:
            raise InputError(f"cannot write {VIDEO_NAME} whole; make room on the disk")


def fitted(picture: ByteArray, size: tuple[int, int]) -> ByteArray:
    """Return a picture, (h, w, 3), shrunk or grown into (width, height), black beside it."""
    width, height = size
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inner = [max(1, min(width, round(scale * picture.shape[1]))),
             max(1, min(height, round(scale * picture.shape[0])))]  # fmt: skip
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    shrunk = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    canvas[top : top + inner[1], left : left + inner[0]] = shrunk
    return canvas


def _encode_jpeg(bgr: ByteArray) -> tuple[bool, bytes]:
    try:
        encoded, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])
    except cv2.error:
        return False, b""
    return encoded, data.tobytes() if encoded else b""
