"""Cameras, the level frame, and the conventions of AR sessions by hand-worked values."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from points2objects import Camera, InputError
from points2objects.camera import canonical_camera, level_from_up
from points2objects.geometry import FloatArray, is_rotation, rigid, transform_points

K = np.array([[1500.0, 0, 960], [0, 1500, 720], [0, 0, 1]])
FACING_MINUS_Z = np.diag([1.0, -1, -1])


def _at(rotation: FloatArray, position: tuple[float, float, float]) -> FloatArray:
    return rigid(rotation, np.array(position))


@pytest.mark.parametrize("make", [Camera.from_arkit, Camera.from_arcore])
def test_ar_camera_with_identity_rotation_looks_along_minus_z(
    make: Callable[..., Camera],
) -> None:
    camera = make(K, 1920, 1440, _at(np.eye(3), (0, 1.5, 0)), support_height=0.1)
    ahead, right, above = [0, 1.5, -2.0], [1.0, 1.5, -2], [0, 2.5, -2.0]
    pixels = camera.project(np.array([ahead, right, above]))
    np.testing.assert_allclose(pixels, [[960, 720, 2], [1710, 720, 2], [960, -30, 2]], atol=1e-9)
    assert camera.height_above_support == pytest.approx(1.4)
    np.testing.assert_allclose(camera.up_camera, [0, -1, 0], atol=1e-12)


def test_phone_held_upright_is_turned_upright() -> None:
    # Portrait: the landscape sensor's x axis points at the floor, so up is -x in its image.
    rotation = np.array([[0, 1.0, 0], [-1, 0, 0], [0, 0, 1]])
    camera = Camera.from_arkit(K, 1920, 1440, _at(rotation, (0, 1.5, 0)), 0.0)
    np.testing.assert_allclose(camera.up_camera, [-1, 0, 0], atol=1e-12)
    canonical = canonical_camera(camera, 60, 256)
    np.testing.assert_allclose(canonical.up_camera, [0, -1, 0], atol=1e-12)
    above = canonical.project(np.array([0, 2.0, -3]))
    assert above[0] == pytest.approx(128)
    assert above[1] < 128


def test_points_behind_have_no_pixel() -> None:
    camera = Camera(K, 1920, 1440, _at(FACING_MINUS_Z, (0, 1, 0)))
    pixels = camera.project(np.array([[0, 1, 3.0], [0, 1, 0]]))
    assert np.isnan(pixels[:, :2]).all()
    np.testing.assert_allclose(pixels[:, 2], [-3, 0])
    assert camera.project(np.zeros((0, 3))).shape == (0, 3)


def test_rays_go_through_the_points_that_pixels_show() -> None:
    camera = Camera(K, 1920, 1440, _at(FACING_MINUS_Z, (1, 2, 3)))
    points = np.array([1.0, 2, 3]) + np.random.default_rng(0).uniform(
        [-1, -1, -5], [1, 1, -2], (9, 3)
    )
    rays = camera.rays_camera(camera.project(points)[:, :2]) @ camera.pose[:3, :3].T
    offset = points - [1, 2, 3]
    np.testing.assert_allclose(rays, offset / np.linalg.norm(offset, axis=1, keepdims=True))


def test_field_of_view_spans_the_longer_side() -> None:
    camera = Camera.from_fov(90, 480, 640)
    assert camera.K[0, 0] == pytest.approx(320)
    assert camera.K[:2, 2].tolist() == [240, 320]
    canonical = canonical_camera(camera, 60, 256)
    assert canonical.K[0, 0] == pytest.approx(221.7025, abs=1e-4)
    assert canonical.world_from_camera is None


@given(hnp.arrays(float, (3,), elements=st.floats(-5, 5)))
def test_level_rotation_is_proper_and_lifts_up_to_y(up: FloatArray) -> None:
    norm = np.linalg.norm(up)
    if norm < 1e-3:
        return
    level_from_camera = level_from_up(up)
    assert is_rotation(level_from_camera, tolerance=1e-7)
    np.testing.assert_allclose(level_from_camera @ (up / norm), [0, 1, 0], atol=1e-7)
    # The heading is -z: the viewing direction has no sideways part.
    assert abs((level_from_camera @ [0, 0, 1.0])[0]) < 1e-6


@pytest.mark.parametrize("z", [1.0, -1.0])
def test_camera_that_looks_straight_up_or_down_has_a_level_frame(z: float) -> None:
    level_from_camera = level_from_up(np.array([0, 0, z]))
    np.testing.assert_allclose(level_from_camera @ [0, -1, 0], [0, 0, -1], atol=1e-12)
    assert is_rotation(level_from_camera)


@pytest.mark.parametrize("up", [[0, 0, 0], [np.nan, 0, 0], [np.inf, 0, 0]])
def test_no_up_direction_is_refused(up: list[float]) -> None:
    with pytest.raises(InputError, match="finite, non-zero"):
        level_from_up(np.array(up))


def test_level_frame_by_hand() -> None:
    # 2 m above a floor at 0.5 m, heading +x, level: level -z is world +x, its unit 2 m.
    heading_x = np.array([[0, 0, 1.0], [0, -1, 0], [1, 0, 0]])
    camera = Camera(K, 1920, 1440, _at(heading_x, (10, 2.5, 20)), support_height=0.5)
    world = transform_points(
        camera.world_from_level(), np.array([[0, 0, 0], [0, 1, 0], [0, 0, -1.0]])
    )
    np.testing.assert_allclose(world, [[10, 0.5, 20], [10, 2.5, 20], [12, 0.5, 20]], atol=1e-12)
    product = camera.level_from_world() @ camera.world_from_level()
    np.testing.assert_allclose(product, np.eye(4), atol=1e-12)


def test_estimated_gravity_makes_the_world_the_level_frame() -> None:
    camera = Camera.from_fov(60, 256, 256).with_gravity(np.array([0.1, -0.9, -0.3]))
    np.testing.assert_allclose(camera.world_from_level(), np.eye(4), atol=1e-12)
    assert camera.height_above_support == 1


def test_poses_printed_with_few_digits_are_made_exact() -> None:
    printed = np.round(_at(level_from_up(np.array([0.2, -0.9, -0.4])), (0, 1.2, 0)), 4)
    assert not is_rotation(printed[:3, :3], tolerance=1e-6)
    camera = Camera(K, 1920, 1440, printed)
    assert is_rotation(camera.pose[:3, :3], tolerance=1e-12)
    assert is_rotation(camera.world_from_level()[:3, :3] / 1.2, tolerance=1e-12)
    np.testing.assert_allclose(camera.pose, printed, atol=1e-3)


def test_a_camera_keeps_its_own_copy() -> None:
    pose = _at(FACING_MINUS_Z, (0, 1, 0))
    camera = Camera(K.tolist(), 1920, 1440, pose)
    pose[1, 3] = 7
    assert camera.pose[1, 3] == 1
    assert camera.K.dtype == float


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"K": np.diag([0.0, 1, 1])}, "focal lengths must be positive"),
        ({"K": np.array([[9.0, 1, 5], [0, 9, 5], [0, 0, 1]])}, r"K must be \[fx 0 cx"),
        ({"K": np.array([[9.0, 0, 5], [1, 9, 5], [0, 0, 1]])}, r"K must be \[fx 0 cx"),
        ({"K": np.eye(2)}, "expected shape"),
        ({"width": 0}, "size must be positive"),
        ({"world_from_camera": np.diag([2.0, 2, 2, 1])}, "must be rigid"),
        ({"world_from_camera": np.full((4, 4), np.nan)}, "must be finite; .*tracking was lost"),
        ({"world_from_camera": _at(np.eye(3), (np.nan, 1, 0))}, "must be finite"),
        ({"world_from_camera": _at(np.eye(3), (0, np.inf, 0))}, "must be finite"),
        ({"world_from_camera": np.zeros((4, 4))}, "must be rigid"),
        ({"world_from_camera": _at(np.diag([1, 1e300, 1]), (0, 1, 0))}, "must be rigid"),
        *(
            ({"world_from_camera": _at(np.eye(3), (0, 1, 0)), "support_height": height}, words)
            for height, words in [
                (np.nan, "must be finite"),
                (-np.inf, "must be finite"),
                (2.0, "not above the support plane"),
                (1.0 - 1e-9, "not above the support plane"),
                (-1e300, "more than 1e.09 m from the world's origin"),
            ]
        ),
        *(
            ({"K": np.array([[1500.0, 0, cx], [0, 1500, cy], [0, 0, 1]])}, "principal point")
            for cx, cy in [(-1, 720), (1921, 720), (960, -0.5), (960, 1441), (1e300, 720)]
        ),
        *(
            ({"K": np.array([[fx, 0, 960], [0, fy, 720], [0, 0, 1]])}, "field of view of")
            for fx, fy in [(1e-9, 1500), (1500, 1e-9), (2e5, 1500), (1500, 6.4e7), (5, 5)]
        ),
        ({"world_from_camera": _at(np.eye(3), (0, 1, 0)).T}, "must be rigid"),
        ({"world_from_camera": np.eye(3)}, "expected shape"),
        ({"world_from_camera": _at(np.eye(3), (0, -1, 0))}, "not above the support plane"),
    ],
)
def test_impossible_cameras_are_refused(change: dict[str, object], words: str) -> None:
    values: dict[str, object] = {"K": K, "width": 1920, "height": 1440, **change}
    with pytest.raises(InputError, match=words):
        Camera(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("fov", [0, 180, -20, np.nan])
def test_impossible_fields_of_view_are_refused(fov: float) -> None:
    with pytest.raises(InputError, match="field of view"):
        Camera.from_fov(fov, 64, 64)


@pytest.mark.parametrize("fov_deg", [1.01, 20, 90, 170, 178.9])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 4000), (4000, 1), (640, 480)])
def test_cameras_of_every_allowed_field_of_view_can_be_made(
    fov_deg: float, width: int, height: int
) -> None:
    camera = Camera.from_fov(fov_deg, width, height)
    assert Camera(camera.K, width, height).width == width


@pytest.mark.parametrize(("sideways", "turned"), [(0.05, False), (0.2, True)])
def test_the_view_of_a_camera_that_looks_nearly_straight_down_is_not_turned(
    sideways: float, turned: bool
) -> None:
    # Up is seen at the right edge of the image, but so little of it that noise would turn it.
    up = np.array([sideways, 0.0, -np.sqrt(1 - sideways**2)])
    camera = Camera.from_fov(60, 640, 480).with_gravity(up)
    canonical = canonical_camera(camera, 60, 256)
    expected = [0, -sideways] if turned else [sideways, 0]
    np.testing.assert_allclose(canonical.up_camera[:2], expected, atol=1e-12)
