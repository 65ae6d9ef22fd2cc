"""The demo's loop with the package's own bundle on the frames that the repository carries."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

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
    folder.mkdir()
    shutil.copy(FRAMES / "sofa-and-table.jpg", folder)
    frame = {
        "file": "sofa-and-table.jpg",
        "K": [[700, 0, 320], [0, 700, 480], [0, 0, 1]],
        "world_from_camera": [[1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, -1, 0], [0, 0, 0, 1]],
        "support_height": 0.0,
    }
    frames = [{**frame, "timestamp_ns": index * 50_000_000} for index in range(3)]
    session = {"points2objects_session": 1, "frames": frames}
    (folder / "session.json").write_text(json.dumps(session), encoding="utf-8")
    return folder


def read_scenes(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "scenes.jsonl").read_text("utf-8").splitlines()]


def test_pictures_of_one_name_keep_records_of_their_own(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("photo.jpg", "photo.png"):
        Image.new("RGB", (64, 48)).save(folder / name)
    run(DemoConfig(str(folder), out=out, window=False))
    assert sorted(str(scene["frame"]) for scene in read_scenes(out)) == ["photo", "photo-2"]
    assert {path.stem for path in out.glob("*.jpg")} == {"photo", "photo-2"}


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


@pytest.mark.parametrize("live", [True, False])
def test_interrupt_before_anything_is_made_stops_the_run(tmp_path: Path, live: bool) -> None:
    config = DemoConfig("0", window=False)
    with pytest.raises(KeyboardInterrupt):
        reconstruct(pictures(live), interrupted_at(1), config, tmp_path, False)


@pytest.mark.parametrize(
    ("number", "live", "code"),
    [
        (signal.SIGINT, False, 130),
        (signal.SIGTERM, False, 143),
        (signal.SIGINT, True, 0),
        (signal.SIGTERM, True, 143),
    ],
)
def test_signal_ends_the_run_after_the_frame_in_hand_and_keeps_what_is_done(
    tmp_path: Path, number: int, live: bool, code: int
) -> None:
    def asked_to_end(frames: Iterator[Frame]) -> Iterator[Frame]:
        yield next(frames)
        signal.raise_signal(number)
        yield next(frames)
        pytest.fail("no further frame is read")

    before = signal.getsignal(number)
    capture = pictures(live)
    capture = replace(capture, frames=asked_to_end(capture.frames))
    config = DemoConfig("0", window=False)
    summary = reconstruct(capture, Reconstructor.load(), config, tmp_path, False)
    assert summary.exit_code == code
    assert str(summary).startswith("stopped early; wrote" if code else "wrote")
    assert summary.n_frames == len(read_scenes(tmp_path)) == 2
    decode_glb((tmp_path / "scene.glb").read_bytes(), "scene.glb")
    assert signal.getsignal(number) == before


def test_interrupt_of_files_keeps_the_frames_before(tmp_path: Path) -> None:
    config = DemoConfig("0", window=False)
    summary = reconstruct(pictures(live=False), interrupted_at(3), config, tmp_path, False)
    assert (summary.n_frames, summary.exit_code) == (2, 130)


def test_unreadable_frame_of_a_recording_costs_that_frame_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording = write_recording(tmp_path / "recording")
    session = json.loads((recording / "session.json").read_text("utf-8"))
    whole = (recording / "sofa-and-table.jpg").read_bytes()
    (recording / "half.jpg").write_bytes(whole[: len(whole) // 2])
    first, second, third = session["frames"]
    lost = [[float("nan")] * 4] * 4
    session["frames"] = [
        first,
        {**second, "file": "half.jpg"},
        {**second, "file": "gone.jpg"},
        {**second, "world_from_camera": lost},
        third,
    ]
    (recording / "session.json").write_text(json.dumps(session), "utf-8")
    summary = run(DemoConfig(str(recording), out=tmp_path / "out", window=False))
    assert (summary.n_frames, summary.n_left_out, summary.exit_code) == (2, 3, 0)
    assert "(2 frames, 3 left out, " in str(summary)
    assert [scene["timestamp_ns"] for scene in read_scenes(tmp_path / "out")] == [0, 100_000_000]
    said = "\n".join(record.getMessage() for record in caplog.records)
    for words in ("half.jpg: not a readable", "gone.jpg: no such file", "tracking was lost"):
        assert words in said


def test_source_and_result_may_have_names_that_are_no_utf8(tmp_path: Path) -> None:
    raw = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xfccher"))
    raw.mkdir()
    picture = Path(os.fsdecode(os.fsencode(raw) + b"/caf\xe9.jpg"))
    shutil.copy(FRAMES / "coffee-mug.jpg", picture)
    out = Path(os.fsdecode(os.fsencode(raw) + b"/\xfcber"))
    summary = run(DemoConfig(str(raw), out=out, window=False))
    (scene,) = read_scenes(out)
    assert scene["frame"] == "café"
    assert sorted(path.name for path in out.iterdir()) == ["café.jpg", "scene.glb", "scenes.jsonl"]
    str(summary).encode("utf-8")
    recording = write_recording(raw / "recording")
    run(DemoConfig(str(recording), out=out, overwrite=True, window=False))
    assert sorted(path.name for path in out.iterdir()) == [
        "overlay.mp4", "scene.glb", "scenes.jsonl",
    ]  # fmt: skip
