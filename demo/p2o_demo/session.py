"""Recordings of the project's own layout, `session.json`.

Poses are in our world (+y up, metres), of cameras with OpenCV axes.

    {"points2objects_session": 1,
     "frames": [{"file": "images/0001.jpg", "K": [[fx, 0, cx], [0, fy, cy], [0, 0, 1]],
                 "world_from_camera": [[...], [...], [...], [0, 0, 0, 1]],
                 "support_height": 0.0, "timestamp_ns": 0}, ...]}
"""

import functools
import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from p2o_demo.listing import LeftOut
from p2o_demo.names import displayed
from p2o_demo.posed import PosedPicture, posed_picture, usable
from points2objects.errors import InputError
from points2objects.geometry import FloatArray

SESSION_NAME = "session.json"
SESSION_SCHEMA = 1
MOST_BYTES = 2**28
"""Largest JSON file that is read: two hundred thousand frames."""


def read_session(path: Path, left_out: LeftOut) -> list[PosedPicture]:
    """Read a `session.json`, frames in its order.

    Frames that cannot be used are left out with a line.

    Raises:
        InputError: No session, a file outside of its folder, or no frame that can be used.
    """
    session = read_json(path)
    if session.get("points2objects_session") != SESSION_SCHEMA:
        raise InputError(
            f"{displayed(path)}: expected points2objects_session = {SESSION_SCHEMA}, "
            f"got {str(session.get('points2objects_session'))[:40]}; see docs/architecture.md"
        )
    frames = session.get("frames")
    if not isinstance(frames, list) or not frames:
        raise InputError(
            f"{displayed(path)}: expected a list of frames, got none; see docs/architecture.md"
        )
    for index, frame in enumerate(frames):
        if isinstance(frame, dict) and isinstance(frame.get("file"), str):
            _refuse_outside(path, index, frame["file"])
    makers = [
        functools.partial(_session_frame, path, index, frame) for index, frame in enumerate(frames)
    ]
    return usable(makers, left_out)


def _refuse_outside(path: Path, index: int, name: str) -> None:
    """Refuse a whole session that reaches for files of somebody else."""
    depth = 0
    for part in PureWindowsPath(name).parts:  # both kinds of slash separate there
        depth += -1 if part == ".." else part != "."
        if depth < 0:
            break
    rooted = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    if depth < 0 or rooted:
        raise InputError(
            f"{displayed(path)}: frame {index}: file {displayed(name[:80])!r} lies outside of the "
            "session's folder; name files relative to it, without '..'"
        )


def _session_frame(path: Path, index: int, frame: Any) -> PosedPicture:
    where = f"{displayed(path)}: frame {index}"
    try:
        if not isinstance(frame["file"], str):
            raise TypeError(f"file must be a name, got {str(frame['file'])[:40]}")
        return posed_picture(
            path.parent / frame["file"],
            _matrix("K", frame["K"]),
            _matrix("world_from_camera", frame["world_from_camera"]),
            _number("support_height", frame["support_height"]),
            frame["timestamp_ns"],
        )
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{where}: {reason}; see docs/architecture.md") from error


def _matrix(name: str, value: Any) -> FloatArray:
    try:
        return np.array(value, dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name}: expected rows of numbers, got {str(value)[:40]}") from error


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{name}: expected a number, got {str(value)[:40]}")
    try:
        return float(value)
    except OverflowError as error:
        raise InputError(f"{name}: {str(value)[:20]}... is too large") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: Too large, not JSON, or no object.
    """
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{displayed(path)}: {path.stat().st_size} bytes; too large to be one")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{displayed(path)}: not valid JSON ({str(error)[:120]})") from error
    if not isinstance(content, dict):
        raise InputError(f"{displayed(path)}: expected a JSON object")
    return content
