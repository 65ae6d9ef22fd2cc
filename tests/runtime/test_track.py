"""Track ids stay with their objects."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from points2objects import Box9DoF, Detections
from points2objects.geometry import FloatArray
from points2objects.scene import UNTRACKED
from points2objects.track import KNOWN_AFTER, Tracker


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


def _scored(centers: FloatArray, scores: list[float]) -> Detections:
    return replace(_seen(centers, [0] * len(scores)), score=np.array(scores))


def test_a_known_object_is_kept_hold_of_at_a_lower_score() -> None:
    tracker = Tracker()
    for _ in range(KNOWN_AFTER):
        assert tracker.update(_scored(PLACES[:1], [0.4]), 0.3).tolist() == [0]
    # Another object as weak, farther off than the reach, is nobody yet.
    assert tracker.update(_scored(PLACES[:2], [0.2, 0.2]), 0.3).tolist() == [0, UNTRACKED]
    assert tracker.update(_scored(PLACES[:2], [0.2, 0.4]), 0.3).tolist() == [0, 1]


def test_an_object_seen_once_needs_the_usual_score_again() -> None:
    tracker = Tracker()
    assert tracker.update(_scored(PLACES[:1], [0.4]), 0.3).tolist() == [0]
    assert tracker.update(_scored(PLACES[:1], [0.2]), 0.3).tolist() == [UNTRACKED]
    # It was not forgotten meanwhile.
    assert tracker.update(_scored(PLACES[:1], [0.4]), 0.3).tolist() == [0]


def test_a_weak_detection_never_takes_a_track_from_a_strong_one() -> None:
    tracker = Tracker()
    for _ in range(KNOWN_AFTER):
        tracker.update(_scored(PLACES[:1], [0.4]), 0.3)
    near = np.array([[0.2, 0, 0], [0.0, 0, 0]])
    assert tracker.update(_scored(near, [0.4, 0.2]), 0.3).tolist() == [0, UNTRACKED]


def test_weak_sightings_alone_never_make_an_object_known() -> None:
    tracker = Tracker()
    for _ in range(KNOWN_AFTER - 1):
        tracker.update(_scored(PLACES[:1], [0.4]), 0.3)
    for _ in range(5):
        assert tracker.update(_scored(PLACES[:1], [0.2]), 0.3).tolist() == [UNTRACKED]


def test_a_weak_sighting_recalls_the_box_of_the_last_good_one() -> None:
    tracker = Tracker()
    for _ in range(KNOWN_AFTER):
        tracker.update(_scored(PLACES[:1], [0.4]), 0.3)
    moved = PLACES[:2] + np.array([0.1, 0, 0])
    now = _scored(moved, [0.2, 0.9])
    ids = tracker.update(now, 0.3)
    now = replace(now, exemplar_id=np.array([7, 8]))
    seen = tracker.recall(now, ids)
    # The shape is the one of then, too.
    assert seen.exemplar_id.tolist() == [0, 0]
    np.testing.assert_array_equal(seen.boxes.translation, [PLACES[0], moved[1]])
    np.testing.assert_array_equal(seen.score, now.score)
    assert len(tracker.recall(now[:0], ids[:0])) == 0


@pytest.mark.parametrize(("before", "now"), [(1.0, 0.1), (0.1, 1.0)])
def test_gaps_are_measured_in_the_larger_of_the_two_sizes(before: float, now: float) -> None:
    # 0.8 m apart: 0.46 of the larger diagonal, 4.6 of the smaller, 0.84 of their mean.
    tracker = Tracker()
    tracker.update(_seen(PLACES[:1], [0], size=before))
    moved = PLACES[:1] + np.array([0.8, 0, 0])
    assert tracker.update(_seen(moved, [0], size=now)).tolist() == [0]
    too_far = moved + np.array([0.9, 0, 0])
    assert tracker.update(_seen(too_far, [0], size=max(before, now))).tolist() == [1]


FRAME_NS = 1_000_000_000 // 60


def test_patience_in_seconds_outlasts_many_quick_frames() -> None:
    tracker, nothing = Tracker(), _seen(PLACES[:0], [])
    tracker.update(_seen(PLACES[:1], [0]), timestamp_ns=0)
    for index in range(1, 30):
        tracker.update(nothing, timestamp_ns=index * FRAME_NS)
    assert tracker.update(_seen(PLACES[:1], [0]), timestamp_ns=30 * FRAME_NS).tolist() == [0]
    for index in range(31, 62):
        tracker.update(nothing, timestamp_ns=index * FRAME_NS)
    assert tracker.update(_seen(PLACES[:1], [0]), timestamp_ns=62 * FRAME_NS).tolist() == [1]


def test_patience_in_frames_outlasts_slow_frames() -> None:
    tracker, second = Tracker(), 1_000_000_000
    tracker.update(_seen(PLACES[:1], [0]), timestamp_ns=0)
    for index in range(1, 16):
        tracker.update(_seen(PLACES[:0], []), timestamp_ns=index * second)
    assert tracker.update(_seen(PLACES[:1], [0]), timestamp_ns=16 * second).tolist() == [0]


@pytest.mark.parametrize("jump_s", [10.5, -10.5, 3600.0])
def test_a_jump_in_time_ends_all_tracks_but_never_gives_an_id_twice(jump_s: float) -> None:
    tracker, start = Tracker(), 10**13
    assert tracker.update(_seen(PLACES, [0, 0, 1]), timestamp_ns=start).tolist() == [0, 1, 2]
    later = start + round(jump_s * 1e9)
    assert tracker.update(_seen(PLACES, [0, 0, 1]), timestamp_ns=later).tolist() == [3, 4, 5]


@pytest.mark.parametrize("jump_s", [0.0, 9.5, -0.04])
def test_a_pause_or_frames_out_of_order_keep_the_tracks(jump_s: float) -> None:
    tracker, start = Tracker(), 10**13
    tracker.update(_seen(PLACES, [0, 0, 1]), timestamp_ns=start)
    later = start + round(jump_s * 1e9)
    assert tracker.update(_seen(PLACES, [0, 0, 1]), timestamp_ns=later).tolist() == [0, 1, 2]


def test_an_object_is_recalled_as_it_was_last_seen_well() -> None:
    """Box and exemplar come from the strong sighting, place and score of now are kept."""
    tracker = Tracker()
    well = replace(_scored(PLACES[:1], [0.4]), exemplar_id=np.array([3]))
    for _ in range(KNOWN_AFTER):
        ids = tracker.update(well, 0.3)
    weak = replace(_scored(PLACES[:1] + 0.1, [0.2]), exemplar_id=np.array([5]))
    ids = tracker.update(weak, 0.3)
    recalled = tracker.recall(weak, ids)
    assert recalled.exemplar_id.tolist() == [3]
    assert recalled.score.tolist() == [0.2]
    np.testing.assert_array_equal(recalled.boxes.translation, well.boxes.translation)
    again = replace(_scored(PLACES[:1] + 0.1, [0.5]), exemplar_id=np.array([5]))
    assert tracker.recall(again, tracker.update(again, 0.3)).exemplar_id.tolist() == [5]
