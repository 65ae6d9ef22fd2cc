"""Small detectors of other people, to compare with and to learn from: Apache-2.0."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p2o_train.data.photo_import_config import class_names, plain_name
from p2o_train.data.photos2d import BoolArray
from p2o_train.metrics.rectangle_ap import Rectangles
from p2o_train.yardstick_networks import MAKERS, Places
from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray

SAME_IOU = 0.5
"""Of places that overlap more, only the best of a class is kept."""


@dataclass(frozen=True)
class Yardstick:
    """A detector, loaded.

    Attributes:
        name: Short.
        labels: Its classes, in the order of its scores.
        places: Runs it on a picture, (h, w, 3) RGB.
    """

    name: str
    labels: Sequence[str]
    places: Callable[[ByteArray], Places]

    def find(self, image: ByteArray, classes: Sequence[str], least: float) -> Rectangles:
        """Return the objects of our classes with at least that score, best first."""
        said = self.places(image)
        height, width = image.shape[:2]
        boxes = np.clip(said.boxes, 0, [width, height, width, height])
        found: list[tuple[FloatArray, int, float]] = []
        for class_id, columns in self._columns(classes).items():
            score = said.score[:, columns].max(axis=1)
            kept = suppress(boxes, score, least)
            found += [(boxes[i], class_id, float(score[i])) for i in kept]
        found.sort(key=lambda each: -each[2])
        return Rectangles(
            np.array([box for box, _, _ in found], dtype=float).reshape(-1, 4),
            np.array([class_id for _, class_id, _ in found], dtype=np.int64),
            np.array([score for _, _, score in found], dtype=float),
        )

    def knows(self, classes: Sequence[str]) -> BoolArray:
        """Return which of our classes it has, (c,)."""
        known = self._columns(classes)
        return np.array([index in known for index in range(len(classes))])

    def _columns(self, classes: Sequence[str]) -> dict[int, list[int]]:
        ours = class_names(classes)
        columns: dict[int, list[int]] = {}
        for column, label in enumerate(self.labels):
            name = ours.get(plain_name(label))
            if name is not None:
                columns.setdefault(classes.index(name), []).append(column)
        return columns


def suppress(boxes: FloatArray, score: FloatArray, least: float) -> list[int]:
    """Return the places of one class to keep, best first: none that overlaps a better one."""
    import cv2

    likely = np.flatnonzero(score >= least)
    sides = boxes[likely, 2:] - boxes[likely, :2]
    corner_and_size = np.concatenate([boxes[likely, :2], sides], axis=1).tolist()
    kept = cv2.dnn.NMSBoxes(corner_and_size, score[likely].tolist(), least, SAME_IOU)
    return [int(likely[index]) for index in np.asarray(kept, dtype=np.int64).reshape(-1)]


def load_yardsticks(folder: Path, names: Sequence[str] = ()) -> list[Yardstick]:
    """Load the detectors of a folder.

    Args:
        folder: Holds the files that `MAKERS` names.
        names: Those to load; all whose file is there and whose package is installed by default.

    Raises:
        InputError: One that was asked for cannot be loaded, or there is none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of detectors")
    for name in names:
        if name not in MAKERS:
            raise InputError(f"{name}: no known detector; expected {', '.join(MAKERS)}")
    loaded = []
    for name in names or MAKERS:
        file, make, labels = MAKERS[name]
        try:
            if (folder / file).is_file():
                loaded.append(Yardstick(name, labels, make(folder / file)))
            elif names:
                raise InputError(f"{folder / file}: no such file")
        except ModuleNotFoundError as error:
            if names:
                raise InputError(f"{name} needs the Python package {error.name}") from error
    if not loaded:
        raise InputError(f"{folder}: none of {', '.join(file for file, _, _ in MAKERS.values())}")
    return loaded
