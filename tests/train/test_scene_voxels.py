"""Scene grids and their confusion matrices against SciPy, scikit-learn and counts by hand."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.metrics import confusion_matrix, jaccard_score

from p2o_train.metrics.scene_voxels import (
    MARGIN,
    PlacedSolid,
    SceneGrid,
    Solid,
    confusion,
    grid_around,
    label_cells,
    voxel_iou,
)
from points2objects.errors import InputError
from points2objects.geometry import (
    Box9DoF,
    ByteArray,
    project_to_so3,
    rigid,
    rotation_about_y,
    transform_points,
)

FULL = Solid.of(np.ones((8, 8, 8), bool))


def _box(
    translation: tuple[float, float, float] = (0, 0, 0),
    scale: tuple[float, float, float] = (1, 1, 1),
    yaw: float = 0.0,
) -> Box9DoF:
    return Box9DoF(rotation_about_y(yaw), np.array(translation, float), np.array(scale, float))


def _cube(side: float, size: int) -> SceneGrid:
    return SceneGrid(_box(scale=(side, side, side)), size)


def _random_box(rng: np.random.Generator) -> Box9DoF:
    return Box9DoF(
        project_to_so3(rng.normal(size=(3, 3))),
        rng.uniform(-0.6, 0.6, 3),
        rng.uniform(0.2, 1.5, 3),
    )


def _chair(size: int = 32) -> npt.NDArray[np.bool_]:
    """A seat, a back and a thin leg: nothing is its own mirror image."""
    filled = np.zeros((size,) * 3, bool)
    filled[:, size // 2 : size // 2 + 2] = True
    filled[:, size // 2 :, -2:] = True
    filled[3, : size // 2, 5] = True
    return filled


def _eroded(filled: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.asarray(ndimage.binary_erosion(filled), bool)


def _twin(grid: SceneGrid, box: Box9DoF, filled: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The same with SciPy: centres looked up, and filled cells beside empty ones counted."""
    size = len(filled)
    own = np.diag([size] * 3 + [1.0])
    own[:3, 3] = size / 2 - 0.5
    own_from_cell = own @ np.linalg.inv(box.matrix()) @ grid.frame_from_cell()
    shape = (grid.size,) * 3
    inside = ndimage.affine_transform(
        filled.astype(float), own_from_cell, output_shape=shape, order=0, mode="grid-constant"
    )
    rim = filled & ~_eroded(filled)
    points = transform_points(np.linalg.inv(own_from_cell), np.argwhere(rim).astype(float))
    edges = [np.arange(grid.size + 1) - 0.5] * 3
    return np.asarray((inside > 0.5) | (np.histogramdd(points, edges)[0] > 0))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_labels_are_those_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    box, grid = _random_box(rng), SceneGrid(_box((0.1, 0, -0.2), (1.4, 1.4, 1.4), yaw=0.3), 40)
    labels = label_cells(grid, [PlacedSolid(5, box, Solid.of(_chair()))])
    twin = _twin(grid, box, _chair())
    assert set(np.unique(labels)) <= {0, 5}
    # Points on a cell's side fall to either cell, as rounding decides; seldom more than a few do.
    assert np.count_nonzero((labels == 5) != twin) <= max(3, 0.002 * twin.sum())


def test_a_full_box_fills_its_cells_and_no_others() -> None:
    labels = label_cells(_cube(2.0, 16), [PlacedSolid(1, _box((0.25, 0, 0), (1, 1, 0.5)), FULL)])
    expected = np.zeros((16, 16, 16), np.uint8)
    expected[6:14, 4:12, 6:10] = 1
    np.testing.assert_array_equal(labels, expected)


def test_what_lies_outside_the_cube_is_cut_off() -> None:
    grid = _cube(1.0, 8)
    half = label_cells(grid, [PlacedSolid(1, _box((0.5, 0, 0)), FULL)])
    assert (half[4:] == 1).all()
    assert not half[:4].any()
    assert not label_cells(grid, [PlacedSolid(1, _box((3, 0, 0)), FULL)]).any()
    assert label_cells(grid, [PlacedSolid(1, _box(scale=(9, 9, 9)), FULL)]).all()
    assert not label_cells(grid, []).any()


def test_the_largest_label_counts_in_any_order() -> None:
    low, high = PlacedSolid(2, _box(), FULL), PlacedSolid(4, _box((0.5, 0, 0)), FULL)
    for objects in ([low, high], [high, low]):
        labels = label_cells(_cube(2.0, 8), objects)
        assert [(labels == label).sum() for label in (2, 4)] == [4 * 4 * 2, 4 * 4 * 4]


def test_a_wall_thinner_than_a_cell_is_not_lost() -> None:
    wall = np.zeros((64, 64, 64), bool)
    wall[:, 31] = True
    for height in np.linspace(-0.4, 0.4, 7):
        box = _box((0, float(height), 0), (0.8, 0.8, 0.8), yaw=0.4)
        labels = label_cells(_cube(1.0, 16), [PlacedSolid(1, box, Solid.of(wall))])
        footprint = labels.any(axis=1).sum() / 16**2
        assert footprint == pytest.approx(0.64, abs=0.12)
        assert labels.any(axis=(0, 2)).sum() == 1


def test_turning_object_and_cube_together_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    box, solid = _random_box(rng), Solid.of(_chair())
    grid = _cube(1.5, 24)
    motion = rigid(2.5 * project_to_so3(rng.normal(size=(3, 3))), rng.normal(size=3))
    moved = SceneGrid(grid.cube.transformed(motion), grid.size)
    first = label_cells(grid, [PlacedSolid(1, box, solid)])
    second = label_cells(moved, [PlacedSolid(1, box.transformed(motion), solid)])
    assert first.any()
    assert np.count_nonzero(first != second) <= 3
    assert moved.cell_volume == pytest.approx(2.5**3 * grid.cell_volume)


LABELS = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).integers(0, 5, (2, 6, 6, 6)).astype(np.uint8)
)


@settings(max_examples=30, deadline=None)
@given(pair=LABELS, layers=st.integers(0, 6))
def test_confusion_and_iou_are_those_of_scikit_learn(pair: ByteArray, layers: int) -> None:
    pair = pair.copy()
    pair[:, :, layers:] = 0
    truth, predicted = pair
    counts = confusion(truth, predicted, 4)
    flat = truth.ravel(), predicted.ravel()
    np.testing.assert_array_equal(counts, confusion_matrix(*flat, labels=range(5)))
    if not layers:
        return
    iou = voxel_iou(counts)
    for label in range(1, 5):
        alone = jaccard_score(*(labels == label for labels in flat))
        assert iou.by_class[label - 1] == pytest.approx(alone)
    assert iou.mean == pytest.approx(np.mean(iou.by_class))
    assert iou.overall == pytest.approx(jaccard_score(flat[0] > 0, flat[1] > 0))


def test_one_matrix_takes_all_scenes_and_large_ones_weigh_more() -> None:
    right = np.zeros((4, 4, 4), np.uint8)
    right[:2] = 1
    small = np.zeros((4, 4, 4), np.uint8)
    small[0, 0, 0] = 1
    counts = confusion(right, right, 2) + confusion(small, np.zeros_like(small), 2)
    assert voxel_iou(counts).by_class[0] == pytest.approx(32 / 33)


def test_a_class_that_is_not_there_is_left_out_and_one_that_is_missed_is_not() -> None:
    counts = np.array([[90, 5, 0, 2], [5, 15, 0, 0], [8, 0, 0, 0], [0, 0, 0, 0]])
    iou = voxel_iou(counts)
    assert iou.by_class[:2] == (15 / 25, 0.0)
    assert np.isnan(iou.by_class[2])
    assert iou.mean == pytest.approx(0.3)
    assert iou.overall == pytest.approx(15 / 35)
    nothing = voxel_iou(np.zeros((3, 3), int))
    assert np.isnan([nothing.mean, nothing.overall]).all()


def test_the_grid_lies_about_the_true_boxes() -> None:
    boxes = Box9DoF(
        rotation_about_y(np.array([0.4, 1.0])),
        np.array([[0.0, 0.2, -2.0], [1.0, 0.1, -3.0]]),
        np.array([[0.5, 0.4, 0.5], [0.2, 0.2, 0.2]]),
    )
    grid = grid_around(boxes, 64)
    corners = boxes.corners().reshape(-1, 3)
    cells = transform_points(np.linalg.inv(grid.frame_from_cell()), corners) + 0.5
    extent = np.ptp(cells, axis=0).max()
    assert extent == pytest.approx(64 / (1 + 2 * MARGIN))
    np.testing.assert_allclose((cells.min(axis=0) + cells.max(axis=0)) / 2, 32)
    np.testing.assert_array_equal(grid.cube.rotation, np.eye(3))


def test_the_rim_is_what_erosion_takes_away() -> None:
    seeds = np.random.default_rng(0).random((16, 16, 16)) > 0.99
    filled = np.asarray(ndimage.binary_dilation(seeds), bool)
    rim = np.zeros_like(filled)
    rim[tuple(Solid.of(filled).rim)] = True
    np.testing.assert_array_equal(rim, filled & ~_eroded(filled))


def test_what_is_no_cube_is_refused() -> None:
    with pytest.raises(InputError, match="expected a cube"):
        SceneGrid(_box(scale=(1, 2, 1)), 8)
    with pytest.raises(InputError, match="at least 1 cell"):
        _cube(1.0, 0)
    with pytest.raises(InputError, match="even side"):
        Solid.of(np.ones((3, 3, 3), bool))
