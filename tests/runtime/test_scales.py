"""Looks at several scales: what each finds comes back as the camera's own view would show it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from points2objects import Camera, InputError, ModelSpec, Reconstructor, write_bundle
from points2objects.decode import decode
from points2objects.geometry import ByteArray, FloatArray
from points2objects.place import peak_pixels
from points2objects.preprocess import preprocess
from points2objects.scales import (
    Looked,
    each_once,
    fitting_scale,
    look,
    picture_rectangles,
    rectangle_iou,
)
from points2objects.spec import PoseEncoding
from points2objects.tensors import OutputMap, OutputMaps

Writer = Callable[..., bytes]
RED, GREY = (255, 0, 0), (124, 116, 104)
UP = np.array([0.02, -0.9, -0.43])


class IdealNetwork:
    """Sees one object of a class at a pixel, and knows how far it is; each look enlarges both."""

    def __init__(self, spec: ModelSpec, at: FloatArray, scales: tuple[float, ...]) -> None:
        self.spec, self.at, self.scales = spec, at, list(scales)

    def __call__(self, image: ByteArray) -> OutputMaps:
        spec, scale = self.spec, self.scales.pop(0)
        middle = spec.input_size / 2
        cell = (middle + (self.at - middle) * scale) / spec.stride
        column, row = np.floor(cell).astype(int)
        maps = {
            name: np.zeros((spec.map_size, spec.map_size, n), np.float32)
            for name, n in spec.outputs.items()
        }
        maps["heatmap"][row, column, 0] = 0.5 + 0.1 * scale
        maps["translation"][row, column] = [*(cell - [column, row] - 0.5), np.log(3 / scale)]
        maps["scale"][row, column] = np.log(0.25 * scale)
        # The horizon, where rays are square to up, moves away from the middle as all does.
        up = UP / [scale, scale, 1.0]
        maps["gravity"][row, column] = up - [0, -1, 0]
        return {name: OutputMap(values) for name, values in maps.items()}


def _image(camera: Camera) -> ByteArray:
    return np.full((camera.height, camera.width, 3), GREY, np.uint8)


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.0, 1.7, 3.0])
def test_every_look_gives_what_the_first_would(spec: ModelSpec, scale: float) -> None:
    camera, at = Camera.from_fov(65, 320, 240), np.array([141.7, 120.2])
    network = IdealNetwork(spec, at, (scale,))
    looked = look(_image(camera), camera, spec, network, np.array([0.3, 0.3]), (scale,))
    peaks = looked.peaks
    assert len(peaks) == 1
    np.testing.assert_allclose(peak_pixels(peaks, spec), [at], atol=1e-4)
    np.testing.assert_allclose(peaks.translation[:, 2], np.log(3), atol=1e-6)
    np.testing.assert_allclose(peaks.scale, np.log(0.25), atol=1e-6)
    up = peaks.gravity[0] + [0, -1, 0]
    np.testing.assert_allclose(up / np.linalg.norm(up), UP / np.linalg.norm(UP), atol=1e-6)


def test_one_look_is_the_plain_way(spec: ModelSpec) -> None:
    camera, least = Camera.from_fov(65, 320, 240), np.array([0.3, 0.3])
    at = np.array([100.0, 90.0])
    looked = look(_image(camera), camera, spec, IdealNetwork(spec, at, (1.0,)), least)
    view = preprocess(_image(camera), camera, spec)
    plain = decode(IdealNetwork(spec, at, (1.0,))(view.image), spec, least)
    for name in ("row", "column", "translation", "scale", "gravity", "score"):
        np.testing.assert_array_equal(getattr(looked.peaks, name), getattr(plain, name))


def test_an_object_of_two_looks_is_kept_once_as_the_surer_saw_it(spec: ModelSpec) -> None:
    camera, scales = Camera.from_fov(65, 320, 240), (1.0, 2.0)
    network = IdealNetwork(spec, np.array([120.0, 140.0]), scales)
    looked = look(_image(camera), camera, spec, network, np.array([0.3, 0.3]), scales)
    np.testing.assert_allclose(looked.peaks.score, [0.7, 0.6], atol=1e-6)
    np.testing.assert_array_equal(looked.look, [1, 0])
    posed = looked.camera.with_gravity(UP)
    np.testing.assert_allclose(each_once(looked, posed, spec).score, [0.7], atol=1e-6)
    other_class = replace(looked.peaks, class_id=np.array([0, 1]))
    assert len(each_once(replace(looked, peaks=other_class), posed, spec)) == 2
    one_look = Looked(looked.peaks, np.zeros(2, dtype=int), looked.camera)
    assert len(each_once(one_look, posed, spec)) == 2


def test_only_what_a_usual_lens_would_not_show_is_fitted(spec: ModelSpec) -> None:
    for fov_deg in (50, 60, 65, 70):
        assert fitting_scale(Camera.from_fov(fov_deg, 320, 240), spec) == 1.0
    tangent = np.tan(np.radians(30))
    for fov_deg in (20, 104):
        scale = fitting_scale(Camera.from_fov(fov_deg, 240, 320), spec)
        assert scale == pytest.approx(tangent / np.tan(np.radians(fov_deg / 2)))


def test_rectangles_hold_the_points_and_end_at_the_picture() -> None:
    camera = Camera.from_fov(60, 200, 100).with_gravity(np.array([0.0, -1.0, 0.0]))
    rng = np.random.default_rng(0)
    points = rng.uniform([-0.4, 0.8, -3], [0.4, 1.2, -2], (5, 20, 3))
    pixels = camera.project(points)[..., :2]
    expected = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
    np.testing.assert_allclose(picture_rectangles(points, camera), expected)
    # From before the camera's right to behind it: all that is right of where it begins.
    passing = np.array([[[0.5, 0.9, -2.0], [0.5, 1.1, 1.0]]])
    left, top, right, bottom = picture_rectangles(passing, camera)[0]
    assert left == pytest.approx(camera.project(passing[0, :1])[0, 0])
    assert (top, right) == (0.0, 200.0)
    assert bottom == pytest.approx(camera.project(passing[0, :1])[0, 1])
    assert picture_rectangles(np.zeros((0, 4, 3)), camera).shape == (0, 4)


def test_overlap_of_rectangles_by_hand() -> None:
    boxes = np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]])
    by_hand = np.array([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1.0]])
    np.testing.assert_allclose(rectangle_iou(boxes, boxes), by_hand)


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, 9.0), (float("nan"),)])
def test_scales_out_of_range_are_refused(bundle_folder: Path, scales: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"scales must be one or more numbers in 0\.2\.\.5"):
        Reconstructor.load(bundle_folder, scales=scales)


def test_direct_pose_has_no_scales(tmp_path: Path, spec: ModelSpec, write_pack: Writer,
                                   write_model: Writer) -> None:  # fmt: skip
    direct = replace(spec, pose=PoseEncoding.DIRECT)
    (tmp_path / "pack.glb").write_bytes(write_pack(direct))
    write_bundle(tmp_path / "b", direct, write_model(direct), tmp_path / "pack.glb", "")
    with pytest.raises(InputError, match="scales need a model with the ray pose"):
        Reconstructor.load(tmp_path / "b", scales=(1.0, 2.0))


@pytest.mark.parametrize(
    ("side", "second", "seen_by_one"), [(6, 2.5, False), (20, 2.5, True), (20, 1.25, True)]
)
def test_pictures_are_looked_at_as_often_as_asked_and_sessions_once(
    bundle_folder: Path, side: int, second: float, seen_by_one: bool
) -> None:
    camera = Camera.from_fov(65, 640, 480)
    posed = camera.with_gravity(np.array([0, -0.9, -0.4]))
    image = _image(camera)
    image[230 : 230 + side, 310 : 310 + side] = RED
    once, twice = (Reconstructor.load(bundle_folder, scales=s) for s in ((1.0,), (1.0, second)))
    assert once(image).labels == ("chair",) * seen_by_one
    assert twice(image, posed).labels == once(image, posed).labels == ("chair",) * seen_by_one
    scene = twice(image)
    # This network says the same size of whatever it sees; what lies in the other is the same.
    assert scene.labels == ("chair",)
    middle = [310 + side / 2, 230 + side / 2]
    np.testing.assert_allclose(scene.detections.center, np.array([middle]), atol=12)
