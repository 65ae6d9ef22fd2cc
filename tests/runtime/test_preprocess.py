"""The canonical view: where things land, what is filled in, and what is refused."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from points2objects import Camera, InputError, ModelSpec
from points2objects.camera import canonical_camera
from points2objects.geometry import ByteArray, FloatArray, rigid
from points2objects.preprocess import (
    _mean_blocks,
    _opencv,
    check_image,
    map_pixels,
    pixel_map,
    preprocess,
    reduce_blocks,
    resample,
)

BLACK = np.zeros(3, np.uint8)


def _camera(width: int, height: int, focal: tuple[float, float], roll_deg: float) -> Camera:
    """Make a camera 1.5 m up that looks 25 degrees down, rolled about its axis."""
    pitch, roll = np.radians(-25), np.radians(roll_deg)
    down = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    spin = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    pose = rigid(np.diag([1.0, -1, -1]) @ down @ spin, np.array([0, 1.5, 0]))
    K = np.array([[focal[0], 0, width * 0.48], [0, focal[1], height * 0.51], [0, 0, 1.0]])
    return Camera(K, width, height, pose)


CAMERAS = {
    "landscape": _camera(1280, 960, (1000, 1000), 0),
    "portrait": _camera(720, 1280, (950, 950), 0),
    "upright phone": _camera(1280, 960, (1000, 1000), 90),
    "other way up": _camera(640, 480, (500, 500), 180),
    "rolled": _camera(1280, 720, (900, 900), 20),
    "oblong pixels": _camera(1000, 1000, (1500, 1100), -20),
    "enlarged": _camera(160, 120, (120, 120), 0),
    "far zoom": _camera(1920, 1440, (4200, 4200), 7),
}
each_camera = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)


def _blob(camera: Camera, pixel: FloatArray, sigma: float) -> ByteArray:
    """Draw a soft white spot on black at a position in a frame."""
    x = np.arange(camera.width) + 0.5 - pixel[0]
    y = np.arange(camera.height) + 0.5 - pixel[1]
    spot = 255 * np.exp(-(x[None] ** 2 + y[:, None] ** 2) / (2 * sigma**2))
    return np.repeat(np.rint(spot).astype(np.uint8)[..., None], 3, axis=2)


def _centroid(image: ByteArray) -> FloatArray:
    weight = image[..., 0].astype(float)
    rows, columns = np.indices(weight.shape) + 0.5
    moments = np.array([(columns * weight).sum(), (rows * weight).sum()])
    return np.asarray(moments / weight.sum())


@each_camera
def test_a_mark_lands_on_its_canonical_pixel(camera: Camera, spec: ModelSpec) -> None:
    spec = replace(spec, mean=(0.0, 0.0, 0.0))
    canonical = canonical_camera(camera, spec.fov_deg, spec.input_size)
    distance = camera.height_above_support * 2
    for wanted in ([128.0, 128.0], [101.3, 150.8], [160.2, 110.6]):
        ray = canonical.rays_camera(np.array([wanted]))[0]
        point_world = canonical.pose[:3, 3] + distance * canonical.pose[:3, :3] @ ray
        pixel = camera.project(point_world)[:2]
        spread = 4.0 * float(np.abs(pixel_map(camera, canonical)[0, :2]).max())
        view = preprocess(_blob(camera, pixel, max(spread, 2.0)), camera, spec)
        np.testing.assert_allclose(view.camera.project(point_world)[:2], wanted, atol=1e-9)
        np.testing.assert_allclose(_centroid(view.image), wanted, atol=0.05)


@each_camera
def test_the_pixel_map_is_what_the_cameras_say(camera: Camera) -> None:
    canonical = canonical_camera(camera, 60, 256)
    pixels = np.random.default_rng(0).uniform(0, 256, (20, 2))
    points = canonical.pose[:3, 3] + canonical.rays_camera(pixels) @ canonical.pose[:3, :3].T
    mapped = map_pixels(pixel_map(camera, canonical), pixels)
    np.testing.assert_allclose(mapped, camera.project(points)[:, :2], atol=1e-6)
    assert map_pixels(pixel_map(camera, canonical), np.zeros((0, 2))).shape == (0, 2)


def test_the_canonical_camera_itself_changes_nothing(spec: ModelSpec) -> None:
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    camera = Camera.from_fov(60, 256, 256)
    np.testing.assert_array_equal(preprocess(image, camera, spec).image, image)


def test_the_same_scene_at_twice_the_size_gives_the_same_view(spec: ModelSpec) -> None:
    camera = CAMERAS["rolled"]
    assert camera.world_from_camera is not None
    pose = camera.world_from_camera.copy()
    pose[:3, 3] *= 2
    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    view = preprocess(image, camera, spec)
    larger = preprocess(image, replace(camera, world_from_camera=pose), spec)
    np.testing.assert_array_equal(view.image, larger.image)


def test_more_pixels_of_the_same_frame_give_the_same_view(spec: ModelSpec) -> None:
    camera = CAMERAS["rolled"]
    rows, columns = np.mgrid[0:720, 0:1280] / 40
    image = (128 + 90 * np.sin(rows) * np.cos(columns))[..., None].repeat(3, 2).astype(np.uint8)
    K = camera.K.copy()
    K[:2] *= 2
    finer = replace(camera, K=K, width=2560, height=1440)
    view = preprocess(image, camera, spec).image.astype(int)
    view_finer = preprocess(image.repeat(2, 0).repeat(2, 1), finer, spec).image.astype(int)
    assert np.abs(view - view_finer).max() <= 8
    assert np.abs(view - view_finer).mean() < 1


def test_what_the_frame_does_not_show_has_the_mean_colour(spec: ModelSpec) -> None:
    image = np.full((300, 400, 3), 255, np.uint8)
    view = preprocess(image, Camera.from_fov(30, 400, 300), spec).image
    shown = int((view == 255).all(axis=-1).sum())
    side = 2 * 221.7025 * np.tan(np.radians(15))
    assert shown == pytest.approx(side * side * 0.75, rel=0.02)
    np.testing.assert_array_equal(view[0, 0], [124, 116, 104])
    assert set(map(tuple, view.reshape(-1, 3).tolist())) == {(255, 255, 255), (124, 116, 104)}


def test_a_view_beside_the_image_is_all_fill() -> None:
    beside = np.array([[1.0, 0, 500], [0, 1, 0], [0, 0, 1]])
    fill = np.array([1, 2, 3], np.uint8)
    view = resample(np.full((20, 20, 3), 255, np.uint8), beside, 16, fill)
    assert (view == fill).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1)])
def test_the_thinnest_images_work(shape: tuple[int, int], spec: ModelSpec) -> None:
    image = np.full((*shape, 3), 200, np.uint8)
    view = preprocess(image, Camera.from_fov(80, shape[1], shape[0]), spec).image
    assert (view[128, 128] == 200).all()


def test_fine_stripes_do_not_alias() -> None:
    """Stripes too fine for the view must turn grey, not into coarse stripes."""
    image = np.zeros((1600, 1600, 3), np.uint8)
    image[:, ::2] = 255
    for shrink in (4.0, 5.3, 6.25):
        matrix = np.diag([shrink, shrink, 1.0])
        view = resample(image, matrix, 256, BLACK)
        assert np.ptp(view[10:-10, 10:-10].astype(int)) <= 52  # An odd block's imbalance.


def test_half_a_pixel_is_half_a_pixel() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:, 2:] = 200
    shifted = np.array([[1.0, 0, 0.5], [0, 1, 0], [0, 0, 1]])
    view = resample(image, shifted, 4, BLACK)
    np.testing.assert_array_equal(view[0, :, 0], [0, 100, 200, 200])


@given(
    st.integers(1, 60), st.integers(1, 60), st.integers(1, 7), st.integers(1, 7), st.integers(0, 99)
)
def test_blocks_are_averaged_exactly(
    height: int, width: int, block_y: int, block_x: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height * block_y, width * block_x, 3), dtype=np.uint8)
    mean = image.reshape(height, block_y, width, block_x, 3).mean(axis=(1, 3))
    assert np.abs(_mean_blocks(image, block_y, block_x) - mean).max() <= 0.5


@pytest.mark.parametrize("block", [16, 17, 40])
def test_large_blocks_of_white_stay_white(block: int) -> None:
    image = np.full((2 * block, 2 * block, 3), 255, np.uint8)
    assert (_mean_blocks(image, block, block) == 255).all()


@each_camera
def test_opencv_makes_the_same_view(
    camera: Camera, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cv2")
    assert _opencv() is not None
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
    fast = preprocess(image, camera, spec).image.astype(int)
    monkeypatch.setattr("points2objects.preprocess._opencv", lambda: None)
    plain = preprocess(image, camera, spec).image.astype(int)
    assert np.abs(fast - plain).max() <= 1


def test_partial_blocks_repeat_the_rim() -> None:
    image = np.full((5, 7, 3), 80, np.uint8)
    image[-1] = 160
    reduced = reduce_blocks(image, 2, 2)
    assert reduced.shape == (3, 4, 3)
    assert (reduced[-1] == 160).all()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((8, 8), np.uint8), "it is grey"),
        (np.zeros((8, 8, 1), np.uint8), r"expected RGB of shape \(h, w, 3\)"),
        (np.zeros((8, 8, 4), np.uint8), "alpha channel"),
        (np.zeros((8, 8, 3), np.float32), "expected uint8 in 0..255, got float32"),
        (np.zeros((0, 8, 3), np.uint8), "is empty"),
        (np.zeros((2, 8, 8, 3), np.uint8), "expected RGB"),
        ("photo.jpg", "expected a NumPy array"),
    ],
)
def test_what_is_no_rgb_image_is_refused(image: npt.NDArray[np.uint8], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_image(image)


def test_a_camera_of_another_size_is_refused(spec: ModelSpec) -> None:
    camera = Camera.from_fov(60, 640, 480)
    with pytest.raises(InputError, match="image: is 480x640, but its camera is 640x480"):
        preprocess(np.zeros((640, 480, 3), np.uint8), camera, spec)


@pytest.mark.parametrize("shape", [(640, 480), (1, 4000), (3, 3)])
def test_the_narrowest_view_takes_no_more_memory_than_the_frame(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch, spec: ModelSpec
) -> None:
    image = np.full((*shape, 3), 99, np.uint8)
    camera = Camera.from_fov(1.001, shape[1], shape[0])
    canonical = canonical_camera(camera, spec.fov_deg, spec.input_size)
    padded: list[int] = []
    pad = np.pad

    def noting(array: ByteArray, *rest: object, **options: object) -> ByteArray:
        out = pad(array, *rest, **options)  # type: ignore[call-overload]
        padded.append(out.nbytes)
        return np.asarray(out)

    monkeypatch.setattr(np, "pad", noting)
    view = resample(image, pixel_map(camera, canonical), spec.input_size, np.zeros(3, np.uint8))
    assert view.shape == (spec.input_size, spec.input_size, 3)
    assert max(padded, default=0) <= 4 * image.nbytes
    # Far beyond what a camera may be, too.
    resample(image, np.diag([1e7, 1e7, 1.0]), 8, np.zeros(3, np.uint8))
    assert max(padded, default=0) <= 4 * image.nbytes
