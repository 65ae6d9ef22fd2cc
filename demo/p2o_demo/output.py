"""What a run leaves behind: overlays, one JSON line a frame, one GLB."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2

from points2objects.errors import InputError
from points2objects.geometry import ByteArray

SCENES_NAME = "scenes.jsonl"
SCENE_GLB_NAME = "scene.glb"
VIDEO_NAME = "overlay.mp4"


@contextlib.contextmanager
def output_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """Give a temporary folder that becomes `out` when the body succeeds.

    Raises:
        InputError: `out` exists and `overwrite` is off, is not the output of an earlier run, or
            cannot be written.
    """
    with _naming(out):
        # Through a link, so that the folder it leads to is replaced and not the link.
        target = out.resolve()
        temporary = _prepare(target, out, overwrite)
    try:
        yield temporary
        with _naming(out):
            _replace(target, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _prepare(target: Path, out: Path, overwrite: bool) -> Path:
    """Make the temporary folder beside `target`, which the user calls `out`."""
    if target.exists() and not overwrite:
        raise InputError(f"{out} exists; add --overwrite to replace it, or choose another --out")
    # A slip in --out must not cost anybody a folder of their own.
    if target.exists() and not (target / SCENES_NAME).is_file() and not _is_empty_folder(target):
        raise InputError(f"{out} is not the output of an earlier run; choose another --out")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    return temporary


def _replace(target: Path, temporary: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    # Moved aside first: a folder that cannot be replaced is not lost.
    aside = target.with_name(f".{target.name}.{os.getpid()}.old")
    target.rename(aside)
    temporary.rename(target)
    shutil.rmtree(aside)


@contextlib.contextmanager
def _naming(out: Path) -> Iterator[None]:
    """Turn what the file system refuses into one line about `--out`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}; choose another --out") from error


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

    def write(self, name: str, overlay: ByteArray) -> None:
        """Append one overlay, (h, w, 3) RGB; pictures are called after `name`.

        Raises:
            InputError: The size changed within a video, or the picture cannot be written.
        """
        size = (overlay.shape[1], overlay.shape[0])
        if self._size is None:
            self._size = size
            self._video = self._open_video(size)
        bgr = cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR)
        if self._video is None:
            self._write_picture(name, bgr)  # type: ignore[arg-type]
        elif size == self._size:
            self._video.write(bgr)
        else:
            raise InputError(
                f"frame {name}: is {size[0]}x{size[1]}, the first one was "
                f"{self._size[0]}x{self._size[1]}; all frames of a sequence must agree"
            )

    def _write_picture(self, name: str, bgr: ByteArray) -> None:
        unique, copies = name, 1
        while unique in self._names:
            copies += 1
            unique = f"{name}-{copies}"
        self._names.add(unique)
        path = self._folder / f"{unique}.jpg"
        if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, 90]):
            raise InputError(f"cannot write {path}; make room on the disk, or choose another --out")

    def _open_video(self, size: tuple[int, int]) -> cv2.VideoWriter | None:
        if self._fps is None:
            return None
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        path = self._folder / VIDEO_NAME
        video = cv2.VideoWriter(str(path), codec, self._fps, size)
        if video.isOpened():
            return video
        video.release()
        path.unlink(missing_ok=True)
        return None

    def close(self) -> str:
        """Finish the file and return the name of what to open, inside the folder."""
        if self._video is None:
            return "*.jpg"
        self._video.release()
        return VIDEO_NAME
