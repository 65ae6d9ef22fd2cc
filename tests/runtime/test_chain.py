"""The geometry of the whole way, proved: true maps must give back the true boxes in the world."""

from dataclasses import replace

import numpy as np
import pytest

from points2objects import Box9DoF, Camera, ModelSpec, PoseEncoding
from points2objects.camera import canonical_camera
from points2objects.decode import Peaks, decode
from points2objects.geometry import FloatArray, IntArray, rigid, rotation_about_y
from points2objects.place import encode_pose, estimate_up, peak_pixels, place_level
from points2objects.preprocess import map_pixels, pixel_map
from points2objects.settle import settle
from points2objects.tensors import OutputMap

LOOKING_LEVEL = np.diag([1.0, -1.0, -1.0])


def _turn(axis: int, degrees: float) -> FloatArray:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix[i, i] = matrix[j, j] = cos
    matrix[i, j], matrix[j, i] = -sin, sin
    return matrix


def _camera(
    size: tuple[int, int],
    focal: tuple[float, float],
    turns: tuple[float, float, float],
    position: tuple[float, float, float],
    support_height: float,
) -> Camera:
    """Make a camera of heading, pitch and roll (degrees), looking down when pitch < 0."""
    heading, pitch, roll = turns
    rotation = rotation_about_y(np.radians(heading)) @ LOOKING_LEVEL @ _turn(0, pitch)
    pose = rigid(rotation @ _turn(2, roll), np.array(position))
    K = np.array([[focal[0], 0, size[0] * 0.49], [0, focal[1], size[1] * 0.52], [0, 0, 1]])
    return Camera(K, *size, pose, support_height)


CAMERAS = {
    "landscape": _camera((1920, 1440), (1500, 1500), (0, -25, 0), (0, 1.5, 0), 0),
    "portrait sensor": _camera((480, 640), (610, 610), (130, -30, 0), (-4, 0.4, 2), -1.1),
    "phone upright": _camera((1920, 1440), (1450, 1450), (-70, -20, 90), (1, 1.6, 9), 0.02),
    "upside down": _camera((640, 480), (500, 500), (200, -35, 180), (3, 2.9, 1), 0.75),
    "tilted": _camera((1280, 720), (900, 900), (45, -15, 20), (0, 1.2, -7), 0.4),
    "wide": _camera((1280, 720), (520, 520), (10, -40, -5), (20, 31.3, -7), 30),
    "tele, oblong pixels": _camera((1000, 1000), (2100, 1900), (77, -10, 3), (0, 1.1, 0), 0),
    "square": _camera((256, 256), (221.7025, 221.7025), (0, -30, 0), (0, 1, 0), 0),
}
each_camera = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
each_encoding = pytest.mark.parametrize("pose", PoseEncoding)

Truth = tuple[Box9DoF, IntArray]


def _true_boxes(camera: Camera, spec: ModelSpec, seed: int = 0) -> Truth:
    """Draw boxes in the world that the canonical view of the camera sees, one per map corner."""
    rng = np.random.default_rng(seed)
    canonical = canonical_camera(camera, spec.fov_deg, spec.input_size)
    pixels = np.array([[60, 70], [190, 80], [70, 200], [200, 190], [128, 128]], float)
    pixels += rng.uniform(-25, 25, pixels.shape)
    distance = camera.height_above_support * rng.uniform(1.2, 4, (5, 1))
    rays_world = canonical.rays_camera(pixels) @ canonical.pose[:3, :3].T
    tilt = np.stack([_turn(0, a) @ _turn(2, b) for a, b in rng.uniform(-20, 20, (5, 2))])
    rotation = rotation_about_y(rng.uniform(-np.pi, np.pi, 5)) @ tilt
    scale = camera.height_above_support * rng.uniform(0.1, 0.9, (5, 3))
    center = canonical.pose[:3, 3] + distance * rays_world
    return Box9DoF(rotation, center, scale), np.array([0, 1, 0, 1, 0])


def _place(peaks: Peaks, canonical: Camera, spec: ModelSpec) -> Box9DoF:
    return place_level(peaks, canonical, spec).transformed(canonical.world_from_level())


def _true_maps(truth: Truth, camera: Camera, spec: ModelSpec) -> dict[str, OutputMap]:
    """Write the boxes into maps, as a perfect network would; earlier boxes score higher."""
    boxes_world, class_id = truth
    canonical = canonical_camera(camera, spec.fov_deg, spec.input_size)
    pixels = canonical.project(boxes_world.translation)[:, :2]
    cells = np.floor(pixels[:, ::-1] / spec.stride)
    boxes_level = boxes_world.transformed(camera.level_from_world())
    raw = encode_pose(boxes_level, cells, canonical, spec)
    size = spec.map_size
    values = {name: np.zeros((size, size, channels)) for name, channels in spec.outputs.items()}
    for i, (row, column) in enumerate(cells.astype(int)):
        values["heatmap"][row, column, class_id[i]] = 0.95 - 0.05 * i
        values["rotation"][row, column] = raw.rotation[i]
        values["translation"][row, column] = raw.translation[i]
        values["scale"][row, column] = raw.scale[i]
        values["gravity"][row, column] = canonical.up_camera - [0.0, -1.0, 0.0]
        values["exemplar"][row, column, 2 * class_id[i] + i % 2] = 5.0
    return {name: OutputMap(array.astype(np.float32)) for name, array in values.items()}


def _quantised(output: OutputMap) -> OutputMap:
    low, high = min(0.0, float(output.real().min())), float(output.real().max())
    scale = max(high - low, 1e-3) / 255
    zero_point = int(np.clip(np.rint(-128 - low / scale), -128, 127))
    steps = np.clip(np.rint(output.real() / scale) + zero_point, -128, 127)
    return OutputMap(steps.astype(np.int8), scale, zero_point)


@each_camera
@each_encoding
def test_true_maps_give_back_the_boxes_in_the_world(
    camera: Camera, pose: PoseEncoding, spec: ModelSpec
) -> None:
    spec = replace(spec, pose=pose)
    boxes, class_id = _true_boxes(camera, spec)
    canonical = canonical_camera(camera, spec.fov_deg, spec.input_size)
    peaks = decode(_true_maps((boxes, class_id), camera, spec), spec)
    found = _place(peaks, canonical, spec)
    np.testing.assert_array_equal(peaks.class_id, class_id)
    np.testing.assert_array_equal(peaks.exemplar_id, 2 * class_id + np.arange(5) % 2)
    np.testing.assert_allclose(found.translation, boxes.translation, atol=1e-4)
    np.testing.assert_allclose(found.rotation, boxes.rotation, atol=1e-4)
    np.testing.assert_allclose(found.scale, boxes.scale, atol=1e-4)


@each_camera
@each_encoding
def test_int8_maps_give_back_the_boxes_nearly(
    camera: Camera, pose: PoseEncoding, spec: ModelSpec
) -> None:
    spec = replace(spec, pose=pose)
    boxes, class_id = _true_boxes(camera, spec)
    maps = _true_maps((boxes, class_id), camera, spec)
    canonical = canonical_camera(camera, spec.fov_deg, spec.input_size)
    peaks = decode({name: _quantised(output) for name, output in maps.items()}, spec)
    found = _place(peaks, canonical, spec)
    np.testing.assert_array_equal(peaks.class_id, class_id)
    distance = np.linalg.norm(boxes.translation - camera.pose[:3, 3], axis=1, keepdims=True)
    assert (np.abs(found.translation - boxes.translation) / distance).max() < 0.03
    assert np.abs(found.rotation - boxes.rotation).max() < 0.03
    # Logs keep small sides as exact as large ones; direct sides only to a step of the largest.
    error = np.abs(found.scale - boxes.scale)
    if pose is PoseEncoding.RAY:
        assert (error / boxes.scale).max() < 0.03
    else:
        assert (error / camera.height_above_support).max() < 0.01


@each_camera
@each_encoding
def test_centres_are_where_the_frame_shows_them(
    camera: Camera, pose: PoseEncoding, spec: ModelSpec
) -> None:
    spec = replace(spec, pose=pose)
    truth = _true_boxes(camera, spec)
    peaks = decode(_true_maps(truth, camera, spec), spec)
    frame_from_canonical = pixel_map(camera, canonical_camera(camera, 60, 256))
    found = map_pixels(frame_from_canonical, peak_pixels(peaks, spec))
    cell = spec.stride * float(np.abs(frame_from_canonical[:2, :2]).sum(axis=1).max())
    expected = camera.project(truth[0].translation)[:, :2]
    np.testing.assert_allclose(
        found, expected, atol=1e-2 if pose is PoseEncoding.RAY else cell / 2 + 1e-6
    )


@each_camera
@each_encoding
def test_the_same_scene_at_twice_the_size_has_the_same_label(
    camera: Camera, pose: PoseEncoding, spec: ModelSpec
) -> None:
    spec = replace(spec, pose=pose)
    boxes, class_id = _true_boxes(camera, spec)
    assert camera.world_from_camera is not None
    twice = camera.world_from_camera.copy()
    twice[:3, 3] *= 2
    larger = replace(camera, world_from_camera=twice, support_height=2 * camera.support_height)
    maps = _true_maps((boxes, class_id), camera, spec)
    scaled = Box9DoF(boxes.rotation, 2 * boxes.translation, 2 * boxes.scale)
    maps_twice = _true_maps((scaled, class_id), larger, spec)
    for name in spec.outputs:
        np.testing.assert_allclose(maps_twice[name].real(), maps[name].real(), atol=1e-5)


@each_camera
def test_without_a_pose_gravity_gives_the_level_frame(camera: Camera, spec: ModelSpec) -> None:
    """What a session knows beyond gravity (heading, height) is all that is lost."""
    truth = _true_boxes(camera, spec)
    maps = _true_maps(truth, camera, spec)
    peaks = decode(maps, spec)
    blind = canonical_camera(replace(camera, world_from_camera=None, support_height=0.0), 60, 256)
    found = _place(peaks, blind.with_gravity(estimate_up(peaks)), spec)
    expected = truth[0].transformed(camera.level_from_world())
    np.testing.assert_allclose(found.translation, expected.translation, atol=1e-4)
    np.testing.assert_allclose(found.rotation, expected.rotation, atol=1e-4)
    np.testing.assert_allclose(found.scale, expected.scale, atol=1e-4)


@each_encoding
def test_nothing_is_placed_as_nothing(pose: PoseEncoding, spec: ModelSpec) -> None:
    spec = replace(spec, pose=pose)
    camera = CAMERAS["tilted"]
    empty = _true_boxes(camera, spec)[0][np.zeros(0, int)]
    maps = _true_maps((empty, np.zeros(0, int)), camera, spec)
    peaks = decode(maps, spec)
    canonical = canonical_camera(camera, spec.fov_deg, spec.input_size)
    assert len(place_level(peaks, canonical, spec)) == len(settle(peaks, canonical, spec)) == 0
    np.testing.assert_array_equal(estimate_up(peaks), [0, -1, 0])
