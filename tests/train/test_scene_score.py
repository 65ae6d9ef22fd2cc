"""Whole scenes on voxel grids: the truth itself, the oracle, and errors that alignment mends."""

from dataclasses import replace

import numpy as np
import pytest

from p2o_shapedb.database import ShapeDB
from p2o_train.batches import TrainingData
from p2o_train.data.sample import Sample
from p2o_train.metrics.scene_voxels import Solid, voxel_iou
from p2o_train.scene_score import SceneScore, VoxelMeter, replaced
from p2o_train.voxel_report import summarise_scenes
from points2objects.decode import Peaks
from points2objects.geometry import Box9DoF, FloatArray, rotation_about_y


class _SdfSolids:
    """Takes the exemplars' own distances; the models behind them are the same shapes."""

    def __init__(self, shapedb: ShapeDB) -> None:
        self.solids = [Solid.of(sdf < 0) for sdf in shapedb.sdf]

    def of_model(self, model_index: int) -> Solid:
        return self.solids[model_index]

    def of_exemplar(self, exemplar_id: int) -> Solid:
        return self.solids[exemplar_id]


def _meter(shapedb: ShapeDB, size: int = 32) -> VoxelMeter:
    return VoxelMeter(shapedb, _SdfSolids(shapedb), size)


def _peaks(sample: Sample, exemplar_id: list[int]) -> Peaks:
    n = len(exemplar_id)
    return Peaks(
        class_id=sample.class_id[:n],
        score=np.full(n, 0.9),
        row=np.zeros(n, int),
        column=np.zeros(n, int),
        rotation=np.zeros((n, 9)),
        translation=np.zeros((n, 3)),
        scale=np.zeros((n, 3)),
        gravity=np.zeros((n, 3)),
        exemplar_id=np.array(exemplar_id),
    )


@pytest.fixture
def sample(noise_data: TrainingData) -> Sample:
    """A chair and a table side by side: models 1 and 2."""
    boxes = Box9DoF(
        rotation_about_y(np.array([0.3, 1.2])),
        np.array([[-0.4, 0.25, -2.0], [0.4, 0.2, -2.2]]),
        np.array([[0.4, 0.5, 0.3], [0.6, 0.4, 0.4]]),
    )
    models = np.array([1, 2])
    return replace(noise_data.val[0], boxes=boxes, class_id=np.array([0, 1]), model_index=models)


def _score(
    sample: Sample, shapedb: ShapeDB, boxes: Box9DoF, exemplars: tuple[int, ...] = (1, 2)
) -> SceneScore:
    truth = _meter(shapedb).truth(sample)
    assert truth is not None
    return truth.score(_peaks(sample, list(exemplars)), boxes, np.arange(len(exemplars)))


def test_the_truth_itself_is_perfect(noise_data: TrainingData, sample: Sample) -> None:
    score = _score(sample, noise_data.shapedb, sample.boxes)
    for counts in (score.absolute, score.aligned, score.oracle):
        iou = voxel_iou(counts)
        assert iou.by_class == (1.0, 1.0)
        assert iou.overall == 1.0
    np.testing.assert_array_equal(score.chosen_iou, 1)
    np.testing.assert_array_equal(score.nearest_iou, 1)


def test_alignment_mends_pose_and_size_and_not_shape(
    noise_data: TrainingData, sample: Sample
) -> None:
    moved = Box9DoF(
        sample.boxes.rotation @ rotation_about_y(0.4),
        sample.boxes.translation + np.array([0, 0, -0.15]),
        1.3 * sample.boxes.scale,
    )
    score = _score(sample, noise_data.shapedb, moved)
    assert voxel_iou(score.absolute).mean < 0.5
    np.testing.assert_array_equal(score.aligned, score.oracle)

    other = _score(sample, noise_data.shapedb, moved, exemplars=(0, 2))
    chair, table = voxel_iou(other.aligned).by_class
    assert chair < 0.8
    assert table == 1.0
    assert other.chosen_iou[0] < 0.8
    np.testing.assert_array_equal(other.nearest_iou, 1)


def test_an_object_that_is_missed_is_missing_in_every_variant_but_the_oracle(
    noise_data: TrainingData, sample: Sample
) -> None:
    score = _score(sample, noise_data.shapedb, sample.boxes[:1], exemplars=(1,))
    assert voxel_iou(score.absolute).by_class == voxel_iou(score.aligned).by_class == (1.0, 0.0)
    assert voxel_iou(score.oracle).by_class == (1.0, 1.0)


def test_an_undetected_prediction_stays_where_it_is(
    noise_data: TrainingData, sample: Sample
) -> None:
    truth = _meter(noise_data.shapedb).truth(sample)
    assert truth is not None
    away = replace(sample.boxes, translation=sample.boxes.translation + np.array([0, 0, -0.3]))
    score = truth.score(_peaks(sample, [1, 2]), away, np.array([-1, -1]))
    np.testing.assert_array_equal(score.aligned, score.absolute)
    assert len(score.chosen_iou) == 0


def test_a_sample_s_own_cube_is_counted_where_it_has_one(
    noise_data: TrainingData, sample: Sample
) -> None:
    cube = Box9DoF(np.eye(3), np.array([0, 0.3, -2.0]), np.full(3, 4.0))
    truth = _meter(noise_data.shapedb).truth(replace(sample, scene_cube=cube))
    assert truth is not None
    assert truth.grid.cell_volume == pytest.approx((4 / 32) ** 3)
    around = _meter(noise_data.shapedb).truth(sample)
    assert around is not None
    assert np.count_nonzero(truth.labels) < np.count_nonzero(around.labels)


def test_an_image_without_objects_has_no_grid(noise_data: TrainingData, sample: Sample) -> None:
    none = np.zeros(0, int)
    empty = replace(
        sample, boxes=sample.boxes[:0], class_id=none, model_index=none,
        visible_fraction=np.zeros(0), mirrored=np.zeros(0, bool),
    )  # fmt: skip
    assert _meter(noise_data.shapedb).truth(empty) is None


def test_scenes_add_up_and_are_compared_with_the_oracle(
    noise_data: TrainingData, sample: Sample
) -> None:
    right = _score(sample, noise_data.shapedb, sample.boxes)
    half = _score(sample, noise_data.shapedb, sample.boxes[:1], exemplars=(1,))
    volumes: list[FloatArray] = [np.array([right.cell_volume * 7]), np.array([])]
    report = summarise_scenes([right, half], volumes)
    assert (report.size, report.images) == (32, 2)
    assert report.absolute.by_class == (1.0, 0.5)
    assert report.absolute.mean == report.relative.mean == 0.75
    assert report.relative.overall == report.absolute.overall
    assert report.collision_cells == pytest.approx(7)
    assert report.chosen_iou == report.nearest_iou == 1.0
    table = report.to_markdown(("chair", "table"))
    assert "| as predicted | 100.0 % | 50.0 % | 75.0 % |" in table
    assert "| oracle | 100.0 % | 100.0 % | 100.0 % |" in table


def test_relative_figures_are_shares_of_the_oracle(
    noise_data: TrainingData, sample: Sample
) -> None:
    shapedb = replace(noise_data.shapedb, exemplar_id=np.array([0, 0, 3, 3]))
    reached = _score(sample, shapedb, sample.boxes, exemplars=(0, 3))
    report = summarise_scenes([reached], [np.array([])])
    assert report.oracle.mean < 0.8
    assert report.absolute == report.aligned == report.oracle
    assert (report.relative.mean, report.aligned_relative.overall) == (1.0, 1.0)
    best = summarise_scenes([_score(sample, shapedb, sample.boxes)], [np.array([])])
    assert best.relative.mean == pytest.approx(1 / best.oracle.mean)


def test_boxes_are_replaced_in_a_copy(sample: Sample) -> None:
    before = sample.boxes.translation.copy()
    moved = replace(sample.boxes[1:], translation=sample.boxes.translation[1:] + 1)
    both = replaced(sample.boxes, np.array([1]), moved)
    np.testing.assert_array_equal(both.translation, before + np.array([[0], [1]]))
    np.testing.assert_array_equal(sample.boxes.translation, before)
