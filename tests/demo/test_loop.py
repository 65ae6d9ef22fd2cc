"""The demo's loop with the package's own bundle on the frames that the repository carries."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from p2o_demo.config import DemoConfig
from p2o_demo.loop import run
from points2objects.bundle import DEFAULT_BUNDLE
from points2objects.glb import decode_glb

FRAMES = Path(__file__).parents[2] / "demo" / "frames"

pytestmark = pytest.mark.skipif(
    not DEFAULT_BUNDLE.is_dir(), reason="the package carries no default bundle"
)


def write_recording(folder: Path) -> Path:
    """Write a session of one picture seen by a camera that stands still at 1.5 m."""
    picture = FRAMES / "sofa-and-table.jpg"
    frame = {
        "file": str(picture),
        "K": [[700, 0, 320], [0, 700, 480], [0, 0, 1]],
        "world_from_camera": [[1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, -1, 0], [0, 0, 0, 1]],
        "support_height": 0.0,
    }
    frames = [{**frame, "timestamp_ns": index * 50_000_000} for index in range(3)]
    folder.mkdir()
    session = {"points2objects_session": 1, "frames": frames}
    (folder / "session.json").write_text(json.dumps(session), encoding="utf-8")
    return folder


def read_scenes(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "scenes.jsonl").read_text("utf-8").splitlines()]


def test_pictures_give_overlays_scenes_and_the_fullest_scene(tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = run(DemoConfig(str(FRAMES), out=out, score=0.01, window=False))
    names = sorted(path.stem for path in FRAMES.glob("*.jpg"))
    assert sorted(path.stem for path in out.glob("*.jpg")) == names
    scenes = read_scenes(out)
    assert [scene["frame"] for scene in scenes] == names
    counts = [len(scene["objects"]) for scene in scenes]  # type: ignore[arg-type]
    assert summary.n_frames == len(names)
    assert summary.n_objects == sum(counts) > 0
    assert {scene["unit"] for scene in scenes} == {"camera height"}
    glb = decode_glb((out / "scene.glb").read_bytes(), "scene.glb")
    assert len(glb.meshes) == max(counts)


def test_posed_recording_gives_a_video_in_metres_and_keeps_ids(tmp_path: Path) -> None:
    out = tmp_path / "out"
    recording = write_recording(tmp_path / "recording")
    summary = run(DemoConfig(str(recording), out=out, score=0.01, window=False))
    scenes = read_scenes(out)
    assert summary.posed
    assert {scene["unit"] for scene in scenes} == {"metre"}
    assert scenes[0]["objects"] == scenes[2]["objects"]
    video = cv2.VideoCapture(str(out / "overlay.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(20, abs=0.1)
    video.release()


def test_frames_are_limited(tmp_path: Path) -> None:
    summary = run(DemoConfig(str(FRAMES), out=tmp_path / "out", max_frames=2, window=False))
    assert summary.n_frames == 2


def test_overlay_is_the_frame_where_nothing_is_found(tmp_path: Path) -> None:
    picture = tmp_path / "grey.png"
    cv2.imwrite(str(picture), np.full((120, 160, 3), 128, np.uint8))
    out = tmp_path / "out"
    summary = run(DemoConfig(str(picture), out=out, score=0.99, window=False))
    assert summary.n_objects == 0
    overlay = cv2.imread(str(out / "grey.jpg"))
    assert overlay is not None
    np.testing.assert_allclose(overlay, 128, atol=2)
