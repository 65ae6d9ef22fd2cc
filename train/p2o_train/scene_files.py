"""Read the scenes that the demo writes, one JSON object a line."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from points2objects.errors import InputError
from points2objects.geometry import Box9DoF


def read_scenes(path: Path) -> dict[str, dict[str, Any]]:
    """Return the scenes by the names of their frames.

    Raises:
        InputError: The file is missing or not as expected.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return {str(scene["frame"]): scene for scene in map(json.loads, lines)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected scenes.jsonl of demo/camera.py ({error})") from error


def boxes_world(objects: list[dict[str, Any]]) -> Box9DoF:
    """Return the boxes of n >= 1 objects of a scene."""
    return Box9DoF(
        *(
            np.array([entry[key] for entry in objects])
            for key in ("rotation", "translation", "scale")
        )
    )
