"""The alignment against SciPy's and trimesh's Procrustes analyses of the same corners."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes
from trimesh import registration

from p2o_train.metrics.procrustes import aligned
from points2objects.geometry import Box9DoF, project_to_so3, transform_points


def _boxes(rng: np.random.Generator, n: int) -> Box9DoF:
    return Box9DoF(
        project_to_so3(rng.normal(size=(n, 3, 3))),
        rng.normal(size=(n, 3)),
        rng.uniform(0.2, 2, (n, 3)),
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_corners_come_to_lie_where_scipy_brings_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predicted, truth = _boxes(rng, 3), _boxes(rng, 3)
    moved = aligned(predicted, truth)
    for i in range(3):
        target = truth[i].corners()
        # SciPy answers in a frame where the target is centred and of norm 1.
        _, twin, _ = procrustes(target, predicted[i].corners())
        size = np.linalg.norm(target - target.mean(axis=0))
        np.testing.assert_allclose(moved[i].corners(), size * twin + target.mean(axis=0), atol=1e-9)


def test_without_a_scale_it_is_trimesh_s_rigid_motion() -> None:
    rng = np.random.default_rng(5)
    predicted, truth = _boxes(rng, 8), _boxes(rng, 8)
    moved = aligned(predicted, truth)
    for i in range(8):
        motion, _, _ = registration.procrustes(
            predicted[i].corners(), truth[i].corners(), reflection=False, scale=False
        )
        rotation = motion[:3, :3] @ predicted.rotation[i]
        np.testing.assert_allclose(moved.rotation[i], rotation, atol=1e-9)
        center = transform_points(motion, predicted.translation[i])
        np.testing.assert_allclose(moved.translation[i], center, atol=1e-9)


def test_a_moved_turned_and_scaled_box_comes_back() -> None:
    rng = np.random.default_rng(0)
    truth = _boxes(rng, 4)
    moved = _boxes(rng, 4)
    away = Box9DoF(moved.rotation, moved.translation, 3 * truth.scale)
    np.testing.assert_allclose(aligned(away, truth).corners(), truth.corners())


def test_wrong_proportions_stay() -> None:
    rng = np.random.default_rng(1)
    predicted, truth = _boxes(rng, 2), _boxes(rng, 2)
    ratio = aligned(predicted, truth).scale / predicted.scale
    np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones(3))


def test_no_box_is_aligned_with_none() -> None:
    none = _boxes(np.random.default_rng(2), 0)
    assert len(aligned(none, none)) == 0
