"""Keep the same id on the same object over the frames of a session, and keep hold of it.

A score wavers from frame to frame. An object that has been seen well needs less to be believed in
again where it stood (hysteresis; ByteTrack associates weak detections last in the same way).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from points2objects.geometry import Box9DoF, FloatArray, IntArray
from points2objects.scene import UNTRACKED, Detections

KEEPING = 0.5
"""Share of the usual score that a known object needs to be seen again."""
KNOWN_AFTER = 3
"""Frames in which an object must have had the usual score to be known."""
MOST_GAP_S = 10.0
"""After so long without a frame nobody knows what was moved meanwhile: all objects are new."""


@dataclass(frozen=True, eq=False)
class Track:
    """An object seen before.

    Attributes:
        track_id: Its id.
        class_id: Its class.
        box: Where it was last seen well, world, m.
        exemplar_id: Its shape then.
        sightings: Frames in which it had the usual score.
        missed: Frames since it was last seen.
        seen_ns: Time of the frame in which it was last seen.
    """

    track_id: int
    class_id: int
    box: Box9DoF
    exemplar_id: int
    sightings: int = 0
    missed: int = 0
    seen_ns: int = 0


class Tracker:
    """Matches detections to earlier ones by class and by distance in the world."""

    def __init__(self, reach: float = 0.5, patience: int = 15, patience_s: float = 0.5) -> None:
        """Start without tracks.

        An id is given up when its object was missed for both `patience` and `patience_s`, so that
        a phone with 60 frames a second forgets no sooner than one with 30. The time counts only
        where the frames have one.

        Args:
            reach: Centres match up to this share of the larger box diagonal.
            patience: Frames an object may be missed.
            patience_s: Seconds an object may be missed.
        """
        self._reach = reach
        self._patience = patience
        self._patience_ns = round(patience_s * 1e9)
        self._tracks: list[Track] = []
        self._next_id = 0
        self._last_ns = 0

    def reset(self) -> None:
        """Forget all tracks; ids start over."""
        self._tracks = []
        self._next_id = 0
        self._last_ns = 0

    def update(
        self,
        detections: Detections,
        usual_score: float | FloatArray = 0.0,
        timestamp_ns: int = 0,
    ) -> IntArray:
        """Take the next frame and return the id of each of its objects, (n,).

        The closest pair is matched first, in units of its size; what stays alone starts a track.
        Detections below the usual score come last, can only go on with a track that has been seen
        `KNOWN_AFTER` times without them, and are `UNTRACKED` otherwise. After a jump in time of
        more than `MOST_GAP_S`, either way, no track goes on; ids are never given twice.

        Args:
            detections: n objects with boxes in the world, m.
            usual_score: Least score of an object that is not known yet, of all or of each, (n,).
            timestamp_ns: Time of the frame; the same for all where none is known.
        """
        if abs(timestamp_ns - self._last_ns) > MOST_GAP_S * 1e9:
            self._tracks = []
        self._last_ns = timestamp_ns
        strong = detections.score >= usual_score
        gap = self._gaps(detections)
        known = np.array([track.sightings >= KNOWN_AFTER for track in self._tracks], dtype=bool)
        matched = _closest(gap, strong[:, None])
        free = np.ones(len(self._tracks), dtype=bool)
        free[list(matched.values())] = False
        matched |= _closest(gap, ~strong[:, None] & (known & free)[None])
        ids = np.full(len(detections), UNTRACKED, dtype=np.int64)
        seen = []
        for index in range(len(detections)):
            if not strong[index] and index not in matched:
                continue
            old = self._tracks[matched[index]] if index in matched else None
            ids[index] = self._next_id if old is None else old.track_id
            self._next_id += old is None
            if old is None or strong[index]:
                sightings = 1 if old is None else old.sightings + 1
                seen.append(_track(detections, index, int(ids[index]), sightings, timestamp_ns))
            else:
                seen.append(replace(old, missed=0, seen_ns=timestamp_ns))
        kept = {track.track_id for track in seen}
        lost = [
            replace(old, missed=old.missed + 1)
            for old in self._tracks
            if old.track_id not in kept and self._may_be_missed(old, timestamp_ns)
        ]
        self._tracks = seen + lost
        return ids

    def _may_be_missed(self, track: Track, timestamp_ns: int) -> bool:
        """Tell whether a track outlives this frame, in which it is missed."""
        unseen_ns = timestamp_ns - track.seen_ns
        return track.missed < self._patience or 0 < unseen_ns <= self._patience_ns

    def recall(self, detections: Detections, ids: IntArray) -> Detections:
        """Return objects as they were last seen well, which may be now.

        What stands still is better known from then than from a weak sighting.

        Args:
            detections: n objects of the last frame.
            ids: (n,), their ids, none `UNTRACKED`.
        """
        tracks = {track.track_id: track for track in self._tracks}
        known = [tracks[int(track_id)] for track_id in ids]
        if not known:
            return detections
        boxes = Box9DoF(
            np.stack([track.box.rotation for track in known]),
            np.stack([track.box.translation for track in known]),
            np.stack([track.box.scale for track in known]),
        )
        exemplars = np.array([track.exemplar_id for track in known], dtype=np.int64)
        return replace(detections, boxes=boxes, exemplar_id=exemplars)

    def _gaps(self, detections: Detections) -> FloatArray:
        """Return how far detections are from tracks, (n, t), in sizes; inf for no match."""
        if not self._tracks or not len(detections):
            return np.zeros((len(detections), len(self._tracks)))
        boxes = detections.boxes
        centers = np.stack([track.box.translation for track in self._tracks])
        sizes = np.array([np.linalg.norm(track.box.scale) for track in self._tracks])
        classes = np.array([track.class_id for track in self._tracks])
        gap = np.linalg.norm(boxes.translation[:, None] - centers[None], axis=-1)
        gap /= np.maximum(np.linalg.norm(boxes.scale, axis=-1)[:, None], sizes[None])
        gap[(detections.class_id[:, None] != classes[None]) | (gap > self._reach)] = np.inf
        return np.asarray(gap)


def _closest(gap: FloatArray, allowed: npt.NDArray[np.bool_]) -> dict[int, int]:
    """Match the closest allowed pairs first: detection -> track."""
    left = np.where(allowed, gap, np.inf)
    matched: dict[int, int] = {}
    while np.isfinite(left).any():
        index, track = np.unravel_index(int(left.argmin()), left.shape)
        matched[int(index)] = int(track)
        left[index, :] = left[:, track] = np.inf
    return matched


def _track(
    detections: Detections, index: int, track_id: int, sightings: int, timestamp_ns: int
) -> Track:
    return Track(
        track_id,
        int(detections.class_id[index]),
        detections.boxes[index],
        int(detections.exemplar_id[index]),
        sightings,
        seen_ns=timestamp_ns,
    )
