"""Torch twins against the NumPy originals, and gradients where the SVD's own would fail."""

import numpy as np
import pytest
import torch

from p2o_train.geometry import (
    BoxTensors,
    CellView,
    decode_pose,
    decode_rotation,
    head_rotation,
    project_to_so3,
    rotation_about_y,
    turn_about_y,
)
from p2o_train.symmetry import CONTINUOUS_STEPS, symmetry_turns
from points2objects import geometry as original
from points2objects import place
from points2objects.camera import Camera
from points2objects.geometry import Box9DoF
from points2objects.spec import ModelSpec, PoseEncoding, RotationEncoding


def random_matrices(n: int) -> torch.Tensor:
    return torch.randn(n, 3, 3, dtype=torch.double, generator=torch.manual_seed(0))


@pytest.mark.parametrize("n", [0, 1, 50])
def test_projection_equals_the_numpy_twin(n: int) -> None:
    matrices = random_matrices(n)
    np.testing.assert_allclose(
        project_to_so3(matrices), original.project_to_so3(matrices.numpy()), atol=1e-9
    )


def test_projection_passes_gradcheck_on_both_signs_of_the_determinant() -> None:
    matrices = random_matrices(8)
    signs = torch.linalg.det(matrices) > 0
    assert signs.any()
    assert not signs.all()
    assert torch.autograd.gradcheck(project_to_so3, matrices.requires_grad_(), atol=1e-4)


def test_gradient_is_right_where_singular_values_coincide() -> None:
    rotations = torch.from_numpy(original.project_to_so3(random_matrices(4).numpy()))
    stretched = rotations * torch.tensor([2.0, 2.0, 1.0], dtype=torch.double)[:, None]
    for matrices in (torch.eye(3, dtype=torch.double)[None], rotations, stretched):
        assert torch.autograd.gradcheck(
            project_to_so3, matrices.clone().requires_grad_(), atol=1e-4
        )


@pytest.mark.parametrize(
    "diagonal",
    [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, -1), (1, 1e-9, -1e-9), (-1, -1, -1), (2, 1, -1)],
)
def test_gradient_stays_finite_and_bounded_near_degenerate_matrices(
    diagonal: tuple[float, float, float],
) -> None:
    for noise in (0.0, 1e-12, 1e-6):
        matrix = torch.diag(torch.tensor(diagonal, dtype=torch.double))
        matrix = (matrix + noise * random_matrices(1)[0]).requires_grad_()
        (project_to_so3(matrix) * random_matrices(2)[1]).sum().backward()  # type: ignore[no-untyped-call]
        assert matrix.grad is not None
        assert torch.isfinite(matrix.grad).all()
        assert matrix.grad.abs().max() < 1e4


def test_turn_about_y_equals_the_numpy_twin() -> None:
    angles = np.linspace(-4, 4, 9)
    np.testing.assert_allclose(
        rotation_about_y(torch.from_numpy(angles)), original.rotation_about_y(angles), atol=1e-12
    )


@pytest.mark.parametrize("pose", list(PoseEncoding))
@pytest.mark.parametrize("rotation", list(RotationEncoding))
@pytest.mark.parametrize("n", [0, 1, 20])
def test_decoded_pose_equals_the_numpy_twin(
    pose: PoseEncoding, rotation: RotationEncoding, n: int
) -> None:
    rng = np.random.default_rng(0)
    spec = ModelSpec("test", ("a",), 1, "digest", pose=pose, rotation=rotation)
    camera = Camera.from_fov(60.0, 256, 256).with_gravity(np.array([0.1, -0.9, -0.4]))
    channels = spec.outputs["rotation"]
    raw = place.RawPose(*(rng.normal(size=(n, c)) for c in (channels, 3, 3)))
    cells = rng.integers(0, 64, (n, 2)).astype(float)
    view = view_of(cells, camera, spec)
    got = decode_raw(raw, view, spec)
    want = place.decode_pose(raw, cells, camera, spec)
    np.testing.assert_allclose(got.rotation, want.rotation, atol=1e-9)
    np.testing.assert_allclose(got.translation, want.translation, atol=1e-9)
    np.testing.assert_allclose(got.scale, want.scale, atol=1e-9)


def test_decoding_undoes_the_runtime_encoding() -> None:
    rng = np.random.default_rng(1)
    spec = ModelSpec("test", ("a",), 1, "digest")
    camera = Camera.from_fov(60.0, 256, 256).with_gravity(np.array([-0.1, -0.9, -0.3]))
    centers = np.array([[0.2, 0.3, -2.0], [-0.5, 0.1, -3.0]])
    turns = original.rotation_about_y(rng.uniform(-3, 3, 2))
    boxes = Box9DoF(turns, centers, rng.uniform(0.1, 1, (2, 3)))
    cells = np.floor(camera.project(centers)[:, 1::-1] / spec.stride)
    raw = place.encode_pose(boxes, cells, camera, spec)
    view = view_of(cells, camera, spec)
    got = decode_raw(raw, view, spec)
    np.testing.assert_allclose(got.rotation, boxes.rotation, atol=1e-9)
    np.testing.assert_allclose(got.translation, boxes.translation, atol=1e-9)
    np.testing.assert_allclose(got.scale, boxes.scale, atol=1e-9)


def test_nearest_turn_equals_the_numpy_twin() -> None:
    rotations = original.project_to_so3(random_matrices(20).numpy())
    np.testing.assert_allclose(
        turn_about_y(torch.from_numpy(rotations)), place.turn_about_y(rotations), atol=1e-12
    )


@pytest.mark.parametrize("pose", list(PoseEncoding))
def test_the_rotation_head_means_what_the_runtime_encodes(pose: PoseEncoding) -> None:
    rng = np.random.default_rng(2)
    spec = ModelSpec("test", ("a",), 1, "digest", pose=pose)
    camera = Camera.from_fov(60.0, 256, 256).with_gravity(np.array([0.1, -0.9, -0.4]))
    rotations = original.project_to_so3(random_matrices(5).numpy())
    boxes = Box9DoF(rotations, rng.uniform([-1, 0, -4], [1, 1, -2], (5, 3)), np.ones((5, 3)))
    want = place.encode_pose(boxes, np.full((5, 2), 30.0), camera, spec).rotation
    arrays = (boxes.rotation, boxes.translation, boxes.scale)
    got = head_rotation(BoxTensors(*(torch.from_numpy(a) for a in arrays)), pose)
    np.testing.assert_allclose(got, want.reshape(-1, 3, 3) + np.eye(3), atol=1e-9)


def test_an_undecided_bin_has_a_finite_gradient() -> None:
    raw = torch.zeros(1, 8, dtype=torch.double)
    raw[0, [3, 7]] = -1
    raw.requires_grad_()
    turned = decode_rotation(raw, RotationEncoding.BINS)
    turned.sum().backward()  # type: ignore[no-untyped-call]
    assert raw.grad is not None
    assert torch.isfinite(turned).all()
    assert torch.isfinite(raw.grad).all()


@pytest.mark.parametrize("pose", list(PoseEncoding))
@pytest.mark.parametrize("rotation", list(RotationEncoding))
def test_decoding_passes_gradcheck(pose: PoseEncoding, rotation: RotationEncoding) -> None:
    spec = ModelSpec("test", ("a",), 1, "digest", pose=pose, rotation=rotation)
    camera = Camera.from_fov(60.0, 256, 256).with_gravity(np.array([0.1, -0.9, -0.4]))
    view = view_of(np.array([[30.0, 20.0], [10.0, 50.0]]), camera, spec)
    raw = [
        torch.rand(2, c, dtype=torch.double, generator=torch.manual_seed(c)).requires_grad_()
        for c in (spec.outputs["rotation"], 3, 3)
    ]

    def decode(r: torch.Tensor, t: torch.Tensor, s: torch.Tensor) -> tuple[torch.Tensor, ...]:
        boxes = decode_pose(r, t, s, view, spec)
        return boxes.rotation, boxes.translation, boxes.scale

    assert torch.autograd.gradcheck(decode, raw, atol=1e-4)


def test_symmetry_groups_have_their_order_and_repeat_to_a_common_size() -> None:
    turns = symmetry_turns(torch.tensor([1, 2, 4, 0]))
    assert turns.shape == (4, CONTINUOUS_STEPS, 3, 3)
    distinct = [len({tuple(turn.flatten().round(decimals=5).tolist()) for turn in group})
                for group in turns]  # fmt: skip
    assert distinct == [1, 2, 4, CONTINUOUS_STEPS]
    assert symmetry_turns(torch.tensor([1, 2])).shape == (2, 2, 3, 3)
    assert symmetry_turns(torch.zeros(0, dtype=torch.int64)).shape == (0, 1, 3, 3)


def decode_raw(raw: place.RawPose, view: CellView, spec: ModelSpec) -> BoxTensors:
    rotation, translation = torch.from_numpy(raw.rotation), torch.from_numpy(raw.translation)
    return decode_pose(rotation, translation, torch.from_numpy(raw.scale), view, spec)


def view_of(cells: np.ndarray, camera: Camera, spec: ModelSpec) -> CellView:
    centers = place.cell_centers(cells[:, 0], cells[:, 1], spec.stride)
    level = torch.from_numpy(camera.level_rotation()).expand(len(cells), 3, 3)
    return CellView(torch.from_numpy(centers), level, torch.from_numpy(camera.K), spec.stride)
