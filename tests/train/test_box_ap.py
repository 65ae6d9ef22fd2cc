"""Average precision, matching and pair errors by hand, and against scikit-learn and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from sklearn.metrics import precision_recall_curve

from p2o_train.metrics.box_ap import (
    LabelledBoxes,
    ScoredImage,
    area_under_curve,
    average_precision,
    greedy_match,
    precision_recall,
    score_image,
)
from p2o_train.metrics.pair_errors import match_centers, pair_errors, rotation_error_deg
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, FloatArray, rotation_about_y


def _boxes(translation: list[list[float]], yaw: float = 0.0) -> Box9DoF:
    centers = np.array(translation, float).reshape(-1, 3)
    return Box9DoF(
        rotation_about_y(np.full(len(centers), yaw)), centers, np.ones((len(centers), 3))
    )


def _image(iou: list[list[float]], score: list[float]) -> ScoredImage:
    """One class only."""
    table = np.array(iou, float).reshape(-1, len(score))
    return ScoredImage(table, np.zeros(len(table), int), np.zeros(len(score), int), np.array(score))


@pytest.mark.parametrize(
    ("hit", "n_truth", "area"),
    [
        ([1, 1], 2, 1.0),
        ([1, 1], 4, 0.5),
        ([0, 0], 2, 0.0),
        ([], 2, 0.0),
        ([0, 1], 1, 0.5),
        ([1, 0, 1], 2, 0.5 * 1 + 0.5 * 2 / 3),
        ([0, 1, 1], 2, 2 / 3),  # the precision of 1/2 is interpolated up to 2/3
    ],
)
def test_area_is_the_one_worked_out_by_hand(hit: list[int], n_truth: int, area: float) -> None:
    score = np.linspace(0.9, 0.1, len(hit))
    assert area_under_curve(np.array(hit, bool), score, n_truth) == pytest.approx(area)


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=30),
    st.integers(0, 5),
)
def test_area_equals_the_naive_sum_over_recalls(
    predictions: list[tuple[bool, float]], missed: int
) -> None:
    hit = np.array([h for h, _ in predictions], bool)
    score = np.array([s for _, s in predictions])
    n_truth = int(hit.sum()) + missed
    if n_truth == 0:
        return
    ranked = hit[np.argsort(-score, kind="stable")]
    found = np.cumsum(ranked)
    precision = found / np.arange(1, len(ranked) + 1)
    naive = sum(max(precision[found >= level], default=0.0) for level in range(1, n_truth + 1))
    assert area_under_curve(hit, score, n_truth) == pytest.approx(naive / n_truth)


@settings(max_examples=40)
@given(st.lists(st.booleans(), max_size=30), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_area_is_that_of_scikit_learn_s_curve(hits: list[bool], missed: int, seed: int) -> None:
    hit = np.array([*hits, True])
    score = np.random.default_rng(seed).permutation(len(hit)) / 40
    precision, recall, _ = precision_recall_curve(hit, score)
    found = int(hit.sum())
    # Recalls fall towards the end of the list; the best precision at any higher one counts.
    best = np.maximum.accumulate(precision)[:-1]
    area = -np.sum(np.diff(recall) * best) * found / (found + missed)
    assert area_under_curve(hit, score, found + missed) == pytest.approx(area)


def _naive_average_precision(images: list[ScoredImage], class_id: int, min_iou: float) -> float:
    """As one would write PASCAL's development kit: one ranking, one prediction at a time."""
    ranking = sorted(
        (-image.score[j], i, j)
        for i, image in enumerate(images)
        for j in np.flatnonzero(image.predicted_class == class_id).tolist()
    )
    n_truth = sum(int((image.truth_class == class_id).sum()) for image in images)
    taken: set[tuple[int, int]] = set()
    hits = []
    for _, i, j in ranking:
        image = images[i]
        free = [
            (image.iou[t, j], -t)
            for t in np.flatnonzero(image.truth_class == class_id).tolist()
            if (i, t) not in taken and image.iou[t, j] >= min_iou
        ]
        hits.append(bool(free))
        if free:
            taken.add((i, -max(free)[1]))
    precision = [sum(hits[: r + 1]) / (r + 1) for r in range(len(hits))]
    recall = [sum(hits[: r + 1]) / n_truth for r in range(len(hits))]
    area, reached = 0.0, 0.0
    for r in range(len(hits)):
        if recall[r] > reached:
            area += (recall[r] - reached) * max(precision[r:])
            reached = recall[r]
    return area


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_average_precision_is_that_of_a_naive_detection_benchmark(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = []
    for n, m in [(3, 5), (2, 4), (1, 0), (0, 3)]:
        truth_class, predicted_class = rng.integers(0, 2, n), rng.integers(0, 2, m)
        same = truth_class[:, None] == predicted_class[None]
        iou = np.where(same, rng.uniform(size=(n, m)), 0.0)
        images.append(ScoredImage(iou, truth_class, predicted_class, rng.uniform(size=m)))
    for min_iou in (0.25, 0.5):
        found = average_precision(images, 2, min_iou)
        for class_id in range(2):
            if not np.isnan(found[class_id]):
                naive = _naive_average_precision(images, class_id, min_iou)
                assert found[class_id] == pytest.approx(naive)


def test_best_score_chooses_first_and_a_second_hit_is_wrong() -> None:
    affinity = np.array([[0.6, 0.9, 0.7]])
    np.testing.assert_array_equal(
        greedy_match(affinity, np.array([0.5, 0.4, 0.9]), 0.5), [-1, -1, 0]
    )


def test_a_prediction_takes_the_best_object_that_is_free() -> None:
    affinity = np.array([[0.9, 0.8], [0.3, 0.6]])
    np.testing.assert_array_equal(greedy_match(affinity, np.array([0.9, 0.8]), 0.5), [0, 1])
    np.testing.assert_array_equal(greedy_match(affinity, np.array([0.9, 0.8]), 0.7), [0, -1])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nothing_matches_nothing(shape: tuple[int, int]) -> None:
    matched = greedy_match(np.zeros(shape), np.zeros(shape[1]), 0.5)
    np.testing.assert_array_equal(matched, np.full(shape[1], -1))


def test_predictions_of_all_images_are_ranked_together() -> None:
    images = [_image([[0.6, 0.0]], [0.9, 0.8]), _image([[0.3]], [0.7])]
    assert average_precision(images, 1, 0.5) == pytest.approx([0.5])
    assert average_precision(images, 1, 0.25) == pytest.approx([0.5 + 0.5 * 2 / 3])


def test_a_class_without_objects_has_no_ap() -> None:
    image = _image([[0.6]], [0.9])
    ap = average_precision([image], 2, 0.5)
    assert ap[0] == 1.0
    assert np.isnan(ap[1])
    assert np.isnan(average_precision([], 1, 0.5)).all()


def test_precision_and_recall_count_all_images_as_one() -> None:
    images = [_image([[0.6, 0.0, 0.0], [0.0, 0.0, 0.6]], [0.9, 0.8, 0.2]), _image([[0.3]], [0.9])]
    at = precision_recall(images, 0.5)
    assert [at.precision, at.recall] == pytest.approx([2 / 4, 2 / 3])
    at = precision_recall(images, 0.25)
    assert [at.precision, at.recall] == pytest.approx([3 / 4, 1.0])


def test_boxes_of_other_classes_do_not_overlap() -> None:
    truth = LabelledBoxes(_boxes([[0, 0, 0], [0, 0, 0]]), np.array([0, 1]))
    predicted = LabelledBoxes(_boxes([[0, 0, 0], [0.5, 0, 0]]), np.array([1, 0]))
    image = score_image(truth, np.array([1, 1]), predicted, np.array([0.9, 0.8]))
    assert image.iou == pytest.approx(np.array([[0, 1 / 3], [1, 0]]), abs=1e-6)


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(InputError, match="class_id"):
        LabelledBoxes(_boxes([[0, 0, 0]]), np.array([0, 1]))


@pytest.mark.parametrize(
    ("order", "yaw_deg", "error_deg"),
    [(1, 170, 170), (2, 170, 10), (4, 100, 10), (4, 45, 45), (0, 77, 0), (1, 1e-4, 1e-4)],
)
def test_rotation_error_is_modulo_the_symmetry(
    order: int, yaw_deg: float, error_deg: float
) -> None:
    truth, predicted = _boxes([[0, 0, 0]], 0.3), _boxes([[0, 0, 0]], 0.3 + np.radians(yaw_deg))
    error = rotation_error_deg(truth, predicted, np.array([order]))
    assert error == pytest.approx([error_deg], rel=1e-6, abs=1e-5)


@pytest.mark.parametrize("order", [1, 2, 4, 0])
def test_rotation_error_is_scipy_s_least_angle_over_the_turns(order: int) -> None:
    rng = np.random.default_rng(1)
    truth, predicted = Rotation.random(20, rng=rng), Rotation.random(20, rng=rng)
    steps = order or 720
    turns = [Rotation.from_euler("y", 360 * i / steps, degrees=True) for i in range(steps)]
    angles = [np.degrees((predicted.inv() * truth * turn).magnitude()) for turn in turns]
    ones = np.ones((20, 3))
    error = rotation_error_deg(
        Box9DoF(truth.as_matrix(), ones, ones),
        Box9DoF(predicted.as_matrix(), ones, ones),
        np.full(20, order),
    )
    np.testing.assert_allclose(error, np.min(angles, axis=0), atol=1e-6 if order else 0.1)


def test_rotation_error_of_a_solid_of_revolution_is_the_lean_of_its_axis() -> None:
    lean = np.array([[1, 0, 0], [0, np.cos(0.2), -np.sin(0.2)], [0, np.sin(0.2), np.cos(0.2)]])
    truth = _boxes([[0, 0, 0]])
    predicted = Box9DoF(lean @ rotation_about_y(np.array([2.0])), truth.translation, truth.scale)
    error = rotation_error_deg(truth, predicted, np.array([0]))
    assert error == pytest.approx([np.degrees(0.2)])


def test_pair_errors_are_those_worked_out_by_hand() -> None:
    truth = _boxes([[0, 1, -2], [0, 0, -1]])
    step = np.array([0, 0, -0.5])
    predicted = Box9DoF(truth.rotation, truth.translation + step, truth.scale * [1.1, 1.1, 1 / 1.1])
    errors = pair_errors(truth, predicted, np.array([1, 1]), np.array([3.0, 4.0]))
    np.testing.assert_allclose(errors.translation, [0.5, 0.5])
    np.testing.assert_allclose(errors.translation_relative, [0.25, 0.5 / np.sqrt(2)])
    np.testing.assert_allclose(errors.scale, 0.1)
    np.testing.assert_allclose(errors.rotation_deg, 0.0)
    np.testing.assert_allclose(errors.center_px, [3, 4])


def _match(truth_px: FloatArray, predicted_px: FloatArray, classes: list[int]) -> list[int]:
    truth = LabelledBoxes(_boxes([[0, 0, -1], [0, 0, -1]]), np.array([0, 1]))
    predicted = LabelledBoxes(_boxes([[0, 0, -1]] * len(classes)), np.array(classes))
    score = np.linspace(0.9, 0.5, len(classes))
    return [int(i) for i in match_centers(truth, truth_px, predicted, predicted_px, score)]


def test_centres_match_within_reach_and_class_and_never_behind_the_camera() -> None:
    truth_px = np.array([[100.0, 100.0], [100.0, 100.0]])
    near, far = [105.0, 100.0], [117.0, 100.0]
    assert _match(truth_px, np.array([near, near]), [1, 0]) == [1, 0]
    assert _match(truth_px, np.array([far, near]), [0, 0]) == [-1, 0]
    assert _match(truth_px, np.array([[np.nan, np.nan], near]), [0, 1]) == [-1, 1]


def test_an_overlap_of_just_the_threshold_is_a_hit() -> None:
    matched = greedy_match(np.array([[0.5]]), np.array([0.9]), 0.5)
    assert matched.tolist() == [0]
    assert average_precision([_image([[0.5]], [0.9])], 1, 0.5)[0] == 1.0
