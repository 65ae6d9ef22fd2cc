"""Keep the same id on the same object over the frames of a session."""

from dataclasses import dataclass

import numpy as np

from points2objects.geometry import FloatArray, IntArray
from points2objects.scene import Detections


@dataclass(frozen=True, eq=False)
class Track:
    """An object seen before.

    Attributes:
        track_id: Its id.
        class_id: Its class.
        center: (3,), last known box centre, world, m.
        size: Last known box diagonal, m.
        missed: Frames since it was last seen.
    """

    track_id: int
    class_id: int
    center: FloatArray
    size: float
    missed: int = 0


class Tracker:
    """Matches detections to earlier ones by class and by distance in the world."""

    def __init__(self, reach: float = 0.5, patience: int = 15) -> None:
        """Start without tracks.

        Args:
            reach: Centres match up to this share of the larger box diagonal.
            patience: Frames an object may be missed before its id is given up.
        """
        self._reach = reach
        self._patience = patience
        self._tracks: list[Track] = []
        self._next_id = 0

    def reset(self) -> None:
        """Forget all tracks; ids start over."""
        self._tracks = []
        self._next_id = 0

    def update(self, detections: Detections) -> IntArray:
        """Take the next frame and return the id of each of its objects, (n,).

        The closest pair is matched first, in units of its size; what stays alone starts a track.

        Args:
            detections: n objects with boxes in the world, m.
        """
        matched = self._match(detections)
        ids = np.zeros(len(detections), dtype=np.int64)
        seen = []
        for index in range(len(detections)):
            track = matched.get(index)
            ids[index] = self._next_id if track is None else track.track_id
            self._next_id += track is None
            seen.append(_track(detections, index, int(ids[index])))
        kept = {track.track_id for track in seen}
        lost = [
            Track(old.track_id, old.class_id, old.center, old.size, old.missed + 1)
            for old in self._tracks
            if old.track_id not in kept and old.missed < self._patience
        ]
        self._tracks = seen + lost
        return ids

    def _match(self, detections: Detections) -> dict[int, Track]:
        if not self._tracks or not len(detections):
            return {}
        boxes = detections.boxes
        centers = np.stack([track.center for track in self._tracks])
        sizes = np.array([track.size for track in self._tracks])
        classes = np.array([track.class_id for track in self._tracks])
        gap = np.linalg.norm(boxes.translation[:, None] - centers[None], axis=-1)
        gap /= np.maximum(np.linalg.norm(boxes.scale, axis=-1)[:, None], sizes[None])
        gap[(detections.class_id[:, None] != classes[None]) | (gap > self._reach)] = np.inf
        matched: dict[int, Track] = {}
        while np.isfinite(gap).any():
            index, track = np.unravel_index(int(gap.argmin()), gap.shape)
            matched[int(index)] = self._tracks[int(track)]
            gap[index, :] = gap[:, track] = np.inf
        return matched


def _track(detections: Detections, index: int, track_id: int) -> Track:
    boxes = detections.boxes
    return Track(
        track_id,
        int(detections.class_id[index]),
        boxes.translation[index],
        float(np.linalg.norm(boxes.scale[index])),
    )
