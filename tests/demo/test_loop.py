"""The demo's loop with the package's own bundle on the frames that the repository carries."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from p2o_demo.capture import Capture, Frame, open_source
from p2o_demo.config import DemoConfig
from p2o_demo.loop import reconstruct, run
from points2objects.camera import Camera
from points2objects.geometry import ByteArray
from points2objects.glb import decode_glb
from points2objects.pipeline import Reconstructor
from points2objects.scene import Scene

FRAMES = Path(__file__).parents[2] / "demo" / "frames"


class InterruptedReconstructor(Reconstructor):
    """A model during whose n-th frame the user presses Ctrl-C."""

    frames_left = 0

    def __call__(
        self, image: ByteArray, camera: Camera | None = None, timestamp_ns: int = 0
    ) -> Scene:
        self.frames_left -= 1
        if self.frames_left == 0:
            raise KeyboardInterrupt
        return super().__call__(image, camera, timestamp_ns)


def interrupted_at(frame: int) -> Reconstructor:
    model = InterruptedReconstructor.load()
    assert isinstance(model, InterruptedReconstructor)
    model.frames_left = frame
    return model


def pictures(live: bool) -> Capture:
    """The repository's pictures as if they came from a webcam, or as they are."""
    config = DemoConfig(str(FRAMES))
    return replace(open_source(config.source, config.capture), live=live)


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


def test_interrupt_while_a_live_frame_is_worked_on_keeps_the_frames_before(tmp_path: Path) -> None:
    config = DemoConfig("0", window=False)
    summary = reconstruct(pictures(live=True), interrupted_at(3), config, tmp_path, False)
    assert summary.n_frames == len(read_scenes(tmp_path)) == 2
    assert len(list(tmp_path.glob("*.jpg"))) == 2
    decode_glb((tmp_path / "scene.glb").read_bytes(), "scene.glb")


def test_interrupt_while_a_live_frame_is_read_keeps_the_frames_before(tmp_path: Path) -> None:
    def interrupted(frames: Iterator[Frame]) -> Iterator[Frame]:
        yield next(frames)
        raise KeyboardInterrupt

    capture = pictures(live=True)
    capture = replace(capture, frames=interrupted(capture.frames))
    config = DemoConfig("0", window=False)
    assert reconstruct(capture, Reconstructor.load(), config, tmp_path, False).n_frames == 1


@pytest.mark.parametrize(("live", "frame"), [(True, 1), (False, 3)])
def test_interrupt_before_anything_is_made_or_of_files_stops_the_run(
    tmp_path: Path, live: bool, frame: int
) -> None:
    config = DemoConfig("0", window=False)
    with pytest.raises(KeyboardInterrupt):
        reconstruct(pictures(live), interrupted_at(frame), config, tmp_path, False)
