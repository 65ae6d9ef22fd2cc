"""Whether two forms of a network see the same objects and pick the same exemplars."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from p2o_train.predictors import Predictor
from points2objects.decode import Peaks, decode
from points2objects.geometry import ByteArray, IntArray
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMaps

SAME_PLACE = 1
"""Peaks of one class this many cells apart, in row and column, are the same object."""


@dataclass(frozen=True)
class Agreement:
    """How much a second form of a network agrees with the first.

    Attributes:
        peaks: Peaks of the first above the operating threshold, over all images.
        found: Share of them that the second has too, 0..1.
        same_exemplar: Of those, the share with the same exemplar, 0..1.
    """

    peaks: int
    found: float
    same_exemplar: float


class PeakRecorder:
    """A predictor that remembers the peaks of every image it saw.

    Attributes:
        peaks: One entry per image, in order.
    """

    def __init__(self, predict: Predictor, spec: ModelSpec) -> None:
        self._predict = predict
        self._spec = spec
        self.peaks: list[Peaks] = []

    def __call__(self, image: ByteArray) -> OutputMaps:
        """Run the network on one canonical image."""
        maps = self._predict(image)
        self.peaks.append(decode(maps, self._spec))
        return maps


def agreement(first: Sequence[Peaks], second: Sequence[Peaks]) -> Agreement:
    """Compare the peaks of two forms of a network on the same images."""
    peaks = found = same = 0
    for mine, theirs in zip(first, second, strict=True):
        partner = match_peaks(mine, theirs)
        hit = np.flatnonzero(partner >= 0)
        peaks += len(mine)
        found += len(hit)
        same += int((mine.exemplar_id[hit] == theirs.exemplar_id[partner[hit]]).sum())
    return Agreement(
        peaks, found / peaks if peaks else float("nan"), same / found if found else float("nan")
    )


def match_peaks(first: Peaks, second: Peaks) -> IntArray:
    """Return for each peak of the first, (n,), the row of its twin or -1; each is used once."""
    row = np.abs(first.row[:, None] - second.row)
    column = np.abs(first.column[:, None] - second.column)
    apart = np.maximum(row, column) + 0.5 * (row + column)
    fits = (np.maximum(row, column) <= SAME_PLACE) & (first.class_id[:, None] == second.class_id)
    partner = np.full(len(first), -1)
    cost = np.where(fits, apart, np.inf)
    while cost.size and np.isfinite(cost.min()):
        mine, theirs = np.unravel_index(int(cost.argmin()), cost.shape)
        partner[mine] = theirs
        cost[mine, :] = cost[:, theirs] = np.inf
    return partner
