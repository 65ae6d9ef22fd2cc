"""From a frame to a scene with a genuine small network that sees coloured spots."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from points2objects import (
    ASSUMED_FOV_DEG,
    UNTRACKED,
    Camera,
    InputError,
    ModelSpec,
    Reconstructor,
    Scene,
    write_bundle,
)
from points2objects.geometry import ByteArray, FloatArray, rigid
from points2objects.glb import decode_glb
from points2objects.track import KNOWN_AFTER

Writer = Callable[..., bytes]
RED, BLUE, GREY = (255, 0, 0), (0, 0, 255), (124, 116, 104)


def _camera(roll_deg: float, position: tuple[float, float, float]) -> Camera:
    """Make a phone camera that looks 30 degrees down over a plane at 0.3 m."""
    pitch, roll = np.radians(-30), np.radians(roll_deg)
    down = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    spin = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    K = np.array([[700.0, 0, 470], [0, 700, 350], [0, 0, 1]])
    pose = rigid(np.diag([1.0, -1, -1]) @ down @ spin, np.array(position))
    return Camera(K, 960, 720, pose, 0.3)


def _frame(
    camera: Camera, spots: list[tuple[FloatArray, tuple[int, int, int]]], radius: float = 12
) -> ByteArray:
    image = np.full((camera.height, camera.width, 3), GREY, np.uint8)
    y, x = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    for pixel, color in spots:
        image[np.hypot(x - pixel[0], y - pixel[1]) < radius] = color
    return image


@pytest.mark.parametrize("roll_deg", [0, 90, 180, -20])
@pytest.mark.parametrize("quantised", [False, True])
def test_objects_stand_where_their_spots_are_seen(
    tmp_path: Path,
    spec: ModelSpec,
    write_pack: Writer,
    write_model: Writer,
    roll_deg: float,
    quantised: bool,
) -> None:
    (tmp_path / "pack.glb").write_bytes(write_pack(spec))
    folder = tmp_path / "bundle"
    write_bundle(folder, spec, write_model(spec, quantised), tmp_path / "pack.glb", "")
    camera = _camera(roll_deg, (2.0, 1.5, -1.0))
    chair, mug = np.array([430.0, 300.0]), np.array([560.0, 390.0])
    model = Reconstructor.load(folder)
    scene = model(_frame(camera, [(chair, RED), (mug, BLUE)]), camera, timestamp_ns=5)
    assert sorted(scene.labels) == ["chair", "mug"]
    order = [scene.labels.index("chair"), scene.labels.index("mug")]
    found = scene.detections
    np.testing.assert_allclose(found.center[order], [chair, mug], atol=12)
    seen = camera.project(found.boxes.translation)[:, :2]
    np.testing.assert_allclose(seen, found.center, atol=1e-6 if not quantised else 0.1)
    # The network says: sides of a quarter of the distance. The plane says how far that is.
    shares = found.boxes.scale / scene.distance()[:, None]
    np.testing.assert_allclose(shares, 0.25, rtol=0.03)
    np.testing.assert_allclose(found.boxes.corners()[..., 1].min(axis=1), 0.3, atol=1e-6)
    assert (found.exemplar_id[order] == [1, 3]).all()
    assert (scene.metric, scene.timestamp_ns, scene.camera) == (True, 5, camera)
    # Objects stay upright and turn their side at the camera, however the phone is held.
    np.testing.assert_allclose(found.boxes.rotation[:, 1], [[0, 1, 0]] * 2, atol=1e-6)
    away = found.boxes.translation - camera.pose[:3, 3]
    away[:, 1] = 0
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    np.testing.assert_allclose(-found.boxes.rotation[:, :, 2], away, atol=1e-6)


def test_with_a_pose_what_is_of_no_known_size_is_dropped(
    tmp_path: Path, spec: ModelSpec, write_pack: Writer, write_model: Writer
) -> None:
    camera = _camera(0, (2.0, 1.5, -1.0))
    frame = _frame(camera, [(np.array([430.0, 300]), RED), (np.array([560.0, 390]), BLUE)])
    (tmp_path / "pack.glb").write_bytes(write_pack(spec))

    def seen(name: str, sizes_m: tuple[tuple[float, float], ...], metric: bool) -> list[str]:
        sized = replace(spec, sizes_m=sizes_m)
        write_bundle(tmp_path / name, sized, write_model(sized), tmp_path / "pack.glb", "")
        scene = Reconstructor.load(tmp_path / name)(frame, camera if metric else None)
        return sorted(scene.labels)

    # Both are about a metre across, which few mugs are.
    real = ((0.7, 1.7), (0.1, 0.3))
    assert seen("real", real, metric=True) == ["chair"]
    assert seen("real-again", real, metric=False) == ["chair", "mug"]
    assert seen("unknown", (), metric=True) == ["chair", "mug"]


def test_tracks_follow_objects_from_other_places(bundle_folder: Path) -> None:
    model = Reconstructor.load(bundle_folder)
    camera = _camera(0, (2.0, 1.5, -1.0))
    first = model(_frame(camera, [(np.array([430.0, 300]), RED)]), camera)
    moved = _camera(90, (2.1, 1.5, -1.05))
    pixel = moved.project(first.detections.boxes.translation[0])[:2]
    other = np.array([560.0, 200.0])
    second = model(_frame(moved, [(pixel, RED), (other, BLUE)]), moved)
    assert first.track_id.tolist() == [0]
    assert dict(zip(second.labels, second.track_id.tolist(), strict=True)) == {"chair": 0, "mug": 1}
    model.reset()
    assert model(_frame(camera, [(pixel, RED)]), camera).track_id.tolist() == [0]
    untracked = Reconstructor.load(bundle_folder, track=False)
    assert untracked(_frame(camera, [(pixel, RED)]), camera).track_id.tolist() == [UNTRACKED]


def test_two_classes_read_in_one_place_are_shown_once(bundle_folder: Path) -> None:
    camera = _camera(0, (2.0, 1.5, -1.0))
    near = [(np.array([430.0, 300]), RED), (np.array([462.0, 300]), BLUE)]
    apart = [near[0], (np.array([700.0, 300]), BLUE)]
    model = Reconstructor.load(bundle_folder, track=False)
    assert len(model(_frame(camera, near), camera)) == 1
    assert len(model(_frame(camera, apart), camera)) == 2


def test_a_known_object_needs_half_the_usual_score(bundle_folder: Path) -> None:
    camera = _camera(0, (2.0, 1.5, -1.0))
    frame = _frame(camera, [(np.array([430.0, 300]), RED)])
    model = Reconstructor.load(bundle_folder)
    score = 0.0
    for _ in range(KNOWN_AFTER):
        score = float(model(frame, camera).detections.score[0])
    model.score_threshold = score / 0.6
    assert model(frame, camera).track_id.tolist() == [0]
    model.score_threshold = score / 0.4
    assert len(model(frame, camera)) == 0


def test_frames_far_apart_in_time_share_no_ids(bundle_folder: Path) -> None:
    camera = _camera(0, (2.0, 1.5, -1.0))
    frame = _frame(camera, [(np.array([430.0, 300]), RED)])
    model = Reconstructor.load(bundle_folder)
    ids = [int(model(frame, camera, at_s * 10**9).track_id[0]) for at_s in (100, 101, 200, 201)]
    assert ids == [0, 0, 1, 1]


@pytest.mark.parametrize("time", [1.0, np.float64(1), True, np.bool_(True), float("nan"), None])
def test_time_stamps_that_are_no_whole_numbers_are_refused(
    bundle_folder: Path, time: object
) -> None:
    model = Reconstructor.load(bundle_folder)
    with pytest.raises(InputError, match="timestamp_ns: expected whole nanoseconds"):
        model(np.zeros((8, 8, 3), np.uint8), None, time)  # type: ignore[arg-type]


def test_intrinsics_of_another_size_are_logged_once(
    bundle_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = Reconstructor.load(bundle_folder)
    camera = Camera(np.array([[900.0, 0, 640], [0, 900, 480], [0, 0, 1]]), 640, 480)
    for _ in range(3):
        model(np.zeros((480, 640, 3), np.uint8), camera)
    (record,) = caplog.records
    assert "K fits a picture of about 1280x960" in record.getMessage()


def test_without_a_session_gravity_comes_from_the_image(bundle_folder: Path) -> None:
    model = Reconstructor.load(bundle_folder)
    camera = replace(_camera(0, (0, 1, 0)), world_from_camera=None, support_height=0.0)
    scene = model(_frame(camera, [(np.array([430.0, 300]), RED)]), camera)
    assert not scene.metric
    assert scene.track_id.tolist() == [UNTRACKED]
    np.testing.assert_allclose(scene.camera.pose[:3, 3], [0, 1, 0])
    np.testing.assert_allclose(
        scene.camera.up_camera, [0, -np.cos(np.pi / 6), -np.sin(np.pi / 6)], atol=1e-6
    )
    np.testing.assert_allclose(scene.detections.boxes.corners()[..., 1].min(), 0, atol=1e-6)
    seen = scene.camera.project(scene.detections.boxes.translation)[:, :2]
    np.testing.assert_allclose(seen, scene.detections.center, atol=1e-3)


def test_without_a_camera_a_phones_field_of_view_is_assumed(bundle_folder: Path) -> None:
    model = Reconstructor.load(bundle_folder)
    camera = Camera.from_fov(ASSUMED_FOV_DEG, 480, 640)
    image = _frame(camera, [(np.array([200.0, 300]), RED)])
    scene, same = model(image), model(image, camera)
    np.testing.assert_array_equal(scene.camera.K, camera.K)
    np.testing.assert_array_equal(scene.detections.boxes.corners(), same.detections.boxes.corners())
    assert len(scene) == 1


def test_a_frame_without_objects_is_an_empty_scene_that_saves(
    bundle_folder: Path, tmp_path: Path
) -> None:
    model = Reconstructor.load(bundle_folder)
    for camera in (_camera(20, (0, 1.5, 0)), None):
        scene = model(np.full((720, 960, 3), GREY, np.uint8), camera)
        assert len(scene) == 0
        scene.save_glb(tmp_path / "scene.glb")
        scene.save_json(tmp_path / "scene.json")
        assert decode_glb((tmp_path / "scene.glb").read_bytes(), "scene.glb").meshes == ()
        assert json.loads((tmp_path / "scene.json").read_text())["objects"] == []


def test_the_threshold_decides_what_counts(bundle_folder: Path) -> None:
    camera = _camera(0, (0, 1.5, 0))
    image = _frame(camera, [(np.array([430.0, 300]), RED)])
    assert len(Reconstructor.load(bundle_folder, score_threshold=1.0)(image, camera)) == 0
    assert len(Reconstructor.load(bundle_folder, score_threshold=0.0)(image, camera)) > 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"score_threshold": 1.5}, r"score_threshold must be in 0..1, got 1.5"),
    ],
)
def test_options_out_of_range_are_refused(
    bundle_folder: Path, options: dict[str, float], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        Reconstructor.load(bundle_folder, **options)  # type: ignore[arg-type]


def test_grey_and_mismatched_images_are_refused(bundle_folder: Path) -> None:
    model = Reconstructor.load(bundle_folder)
    with pytest.raises(InputError, match="it is grey"):
        model(np.zeros((480, 640), np.uint8))
    with pytest.raises(InputError, match="alpha channel"):
        model(np.zeros((480, 640, 4), np.uint8))
    with pytest.raises(InputError, match="image: is 640x480, but its camera is 960x720"):
        model(np.zeros((480, 640, 3), np.uint8), _camera(0, (0, 1.5, 0)))


def _seen(scene: Scene) -> tuple[object, ...]:
    found = scene.detections
    return (
        scene.labels,
        found.score.tolist(),
        found.exemplar_id.tolist(),
        found.boxes.corners().tolist(),
        scene.timestamp_ns,
    )


@pytest.mark.parametrize(
    "calls", [96, pytest.param(1000, marks=pytest.mark.weekly, id="1000 weekly")]
)
def test_threads_that_share_a_model_see_what_one_thread_sees(
    bundle_folder: Path, calls: int
) -> None:
    model = Reconstructor.load(bundle_folder, track=False)
    rng = np.random.default_rng(0)
    camera = _camera(0, (2.0, 1.5, -1.0))
    frames = [
        _frame(camera, [(rng.uniform((300, 250), (650, 450)), color)])[::2, ::2]
        for color in (RED, BLUE, RED, BLUE)
    ]
    K = np.array([[350.0, 0, 235], [0, 350, 175], [0, 0, 1]])
    small = Camera(K, 480, 360, camera.world_from_camera, 0.3)
    jobs = [(frames[i % 4], small if i % 3 else None, i % 4) for i in range(calls)]
    alone = {i: _seen(model(*jobs[i])) for i in range(12)}
    assert len(set(map(str, alone.values()))) > 4
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda job: _seen(model(*job)), jobs))
    assert all(scene == alone[i % 12] for i, scene in enumerate(together))


def test_threads_share_the_tracks_of_one_session(bundle_folder: Path) -> None:
    model = Reconstructor.load(bundle_folder)
    camera = _camera(0, (2.0, 1.5, -1.0))
    chair = _frame(camera, [(np.array([430.0, 300]), RED)])
    mug = _frame(camera, [(np.array([560.0, 390]), BLUE)])
    with ThreadPoolExecutor(8) as pool:
        scenes = list(pool.map(lambda image: model(image, camera), [chair, mug] * 10))
    ids = {
        (label, i) for s in scenes for label, i in zip(s.labels, s.track_id.tolist(), strict=True)
    }
    assert len(ids) == 2
    assert {label for label, _ in ids} == {"chair", "mug"}


def _dimmed(share: float) -> tuple[int, int, int]:
    """Return a colour between grey and red that the network is surer of the redder it is."""
    r, g, b = (round(grey + share * (red - grey)) for grey, red in zip(GREY, RED, strict=True))
    return r, g, b


def test_a_known_object_needs_half_of_the_usual_score(bundle_folder: Path) -> None:
    """Scores of the three colours are near 0.97, 0.45 and 0.33; 0.8 is the usual one."""
    model = Reconstructor.load(bundle_folder, score_threshold=0.8)
    camera = _camera(0, (2.0, 1.5, -1.0))
    spot = np.array([430.0, 300])

    def scores(share: float) -> list[float]:
        frame = _frame(camera, [(spot, _dimmed(share))], radius=40)
        return [round(float(score), 2) for score in model(frame, camera).detections.score]

    assert scores(0.57) == []  # Nobody knows it yet.
    for _ in range(3):
        assert scores(1.0)[0] > 0.9
    assert 0.4 < scores(0.575)[0] < 0.5
    assert scores(0.52) == []


def test_what_is_read_twice_is_shown_once(bundle_folder: Path) -> None:
    """Magenta is a chair of score 0.26 and a mug of 0.49, in one place."""
    model = Reconstructor.load(bundle_folder, score_threshold=0.2, track=False)
    camera = _camera(0, (2.0, 1.5, -1.0))
    frame = _frame(camera, [(np.array([430.0, 300]), (255, 0, 255))])
    assert model(frame, camera).labels == ("mug",)
    assert model(frame, None).labels == ("mug",)
