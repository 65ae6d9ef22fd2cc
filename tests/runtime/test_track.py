"""Track ids stay with their objects."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from points2objects import Box9DoF, Detections
from points2objects.geometry import FloatArray
from points2objects.track import Tracker


def _seen(centers: FloatArray, class_id: list[int], size: float = 0.5) -> Detections:
    n = len(class_id)
    boxes = Box9DoF(
        np.broadcast_to(np.eye(3), (n, 3, 3)), centers.reshape(n, 3), np.full((n, 3), size)
    )
    zeros = np.zeros(n, int)
    return Detections(boxes, np.array(class_id, int), zeros, np.ones(n), np.zeros((n, 2)))


PLACES = np.array([[0, 0, 0], [1, 0, 0], [3, 0, 1.0]])


def test_ids_survive_jitter_and_reordering() -> None:
    tracker = Tracker()
    rng = np.random.default_rng(0)
    assert tracker.update(_seen(PLACES, [0, 0, 1])).tolist() == [0, 1, 2]
    for _ in range(20):
        order = rng.permutation(3)
        jitter = rng.normal(scale=0.05, size=(3, 3))
        ids = tracker.update(_seen((PLACES + jitter)[order], np.array([0, 0, 1])[order].tolist()))
        assert ids.tolist() == order.tolist()


def test_ids_survive_missed_frames_but_not_too_many() -> None:
    tracker = Tracker(patience=3)
    tracker.update(_seen(PLACES, [0, 0, 1]))
    for _ in range(3):
        assert tracker.update(_seen(PLACES[:1], [0])).tolist() == [0]
    assert tracker.update(_seen(PLACES, [0, 0, 1])).tolist() == [0, 1, 2]
    for _ in range(4):
        tracker.update(_seen(PLACES[:0], []))
    assert tracker.update(_seen(PLACES, [0, 0, 1])).tolist() == [3, 4, 5]


def test_another_class_at_the_same_place_is_another_object() -> None:
    tracker = Tracker()
    assert tracker.update(_seen(PLACES[:1], [0])).tolist() == [0]
    assert tracker.update(_seen(PLACES[:1], [1])).tolist() == [1]


def test_reach_grows_with_the_object() -> None:
    step = np.array([[0.4, 0, 0]])
    small, large = Tracker(), Tracker()
    small.update(_seen(PLACES[:1], [0], size=0.1))
    large.update(_seen(PLACES[:1], [0], size=1.0))
    assert small.update(_seen(step, [0], size=0.1)).tolist() == [1]
    assert large.update(_seen(step, [0], size=1.0)).tolist() == [0]


def test_the_closest_pair_wins() -> None:
    tracker = Tracker()
    tracker.update(_seen(np.array([[0.0, 0, 0]]), [0]))
    ids = tracker.update(_seen(np.array([[0.2, 0, 0], [0.05, 0, 0]]), [0, 0]))
    assert ids.tolist() == [1, 0]


def test_reset_starts_over() -> None:
    tracker = Tracker()
    tracker.update(_seen(PLACES, [0, 0, 1]))
    tracker.reset()
    assert tracker.update(_seen(PLACES[2:], [1])).tolist() == [0]


@given(st.lists(st.lists(st.integers(0, 2), max_size=5), max_size=6), st.integers(0, 9))
def test_no_two_objects_of_a_frame_share_an_id(frames: list[list[int]], seed: int) -> None:
    tracker, rng = Tracker(), np.random.default_rng(seed)
    for classes in frames:
        ids = tracker.update(_seen(rng.uniform(-0.5, 0.5, (len(classes), 3)), classes))
        assert len(set(ids.tolist())) == len(classes)
