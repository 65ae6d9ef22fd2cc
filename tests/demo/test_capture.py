import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from p2o_demo.capture import open_source
from p2o_demo.config import CaptureOptions, DemoConfig
from points2objects.errors import InputError

OPTIONS = CaptureOptions(fov_deg=60, world_up="+y", support_height=None)


def write_video(path: Path, n_frames: int) -> Path:
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    assert video.isOpened()
    for index in range(n_frames):
        video.write(np.full((48, 64, 3), (0, 0, 40 * index), np.uint8))
    video.release()
    return path


def test_single_picture_has_the_asked_field_of_view(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((30, 40, 3), np.uint8))
    capture = open_source(str(tmp_path / "a.png"), OPTIONS)
    (frame,) = capture.frames
    assert (capture.count, capture.fps, capture.posed, capture.live) == (1, None, False, False)
    assert (frame.camera.width, frame.camera.height) == (40, 30)
    assert frame.camera.K[0, 0] == pytest.approx(20 / np.tan(np.radians(30)))
    assert frame.camera.world_from_camera is None


def test_folder_yields_pictures_by_name(tmp_path: Path) -> None:
    for name in ("b", "a"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((30, 40, 3), np.uint8))
    assert [frame.name for frame in open_source(str(tmp_path), OPTIONS).frames] == ["a", "b"]


def test_posed_picture_stays_as_the_sensor_saw_it(tmp_path: Path) -> None:
    # K and pose are the sensor's; the EXIF orientation says how the phone was held.
    ok, jpeg = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))
    assert ok
    entry = bytes.fromhex("0112 0003 00000001 0006 0000")
    block = b"Exif\0\0" + b"MM\0\x2a\0\0\0\x08\0\x01" + entry + b"\0\0\0\0"
    length = (len(block) + 2).to_bytes(2, "big")
    turned = jpeg.tobytes()[:2] + b"\xff\xe1" + length + block + jpeg.tobytes()[2:]
    (tmp_path / "a.jpg").write_bytes(turned)
    frame = {
        "file": "a.jpg",
        "K": [[50, 0, 32], [0, 50, 24], [0, 0, 1]],
        "world_from_camera": [[1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, -1, 0], [0, 0, 0, 1]],
        "support_height": 0.0,
        "timestamp_ns": 0,
    }
    session = {"points2objects_session": 1, "frames": [frame]}
    (tmp_path / "session.json").write_text(json.dumps(session), encoding="utf-8")
    (posed,) = open_source(str(tmp_path), OPTIONS).frames
    assert posed.image.shape == (48, 64, 3)
    assert (posed.camera.width, posed.camera.height) == (64, 48)
    (free,) = open_source(str(tmp_path / "a.jpg"), OPTIONS).frames
    assert free.image.shape == (64, 48, 3)


def test_video_yields_every_frame_in_rgb_with_its_time(tmp_path: Path) -> None:
    capture = open_source(str(write_video(tmp_path / "clip.avi", 5)), OPTIONS)
    frames = list(capture.frames)
    assert (capture.count, capture.fps) == (5, 10.0)
    assert [frame.timestamp_ns for frame in frames] == [index * 100_000_000 for index in range(5)]
    for index, frame in enumerate(frames):
        np.testing.assert_allclose(frame.image.mean(axis=(0, 1)), [40 * index, 0, 0], atol=6)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "notes"])
def test_unknown_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x00\x00\x00\x18ftypmp42 and nothing else")
    with pytest.raises(InputError, match="neither a picture nor a video that OpenCV can decode"):
        open_source(str(tmp_path / name), OPTIONS)


def test_missing_source_and_missing_webcam_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_source(str(tmp_path / "none.mp4"), OPTIONS)
    with pytest.raises(InputError, match="webcam 97: none there"):
        open_source("97", OPTIONS)


def test_a_picture_that_cannot_be_read_does_not_end_the_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((30, 40, 3), np.uint8))
    for name in ("a.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(b"\xff\xd8half")
    assert [frame.name for frame in open_source(str(tmp_path), OPTIONS).frames] == ["b"]
    assert [record.getMessage().split("/")[-1][:6] for record in caplog.records] == [
        "a.jpg:", "c.jpg:",
    ]  # fmt: skip
    (tmp_path / "b.png").unlink()
    with pytest.raises(InputError, match="none of its 2 pictures can be read"):
        open_source(str(tmp_path), OPTIONS)


def test_lens_named_in_the_picture_is_heeded_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    ok, jpeg = cv2.imencode(".jpg", np.zeros((48, 72, 3), np.uint8))
    assert ok
    pointer, focal = "8769 0004 00000001 0000001a", "a405 0003 00000001 001a 0000"
    tiff = bytes.fromhex(f"4d4d002a 00000008 0001 {pointer} 00000000 0001 {focal} 00000000")
    block = b"Exif\0\0" + tiff
    length = (len(block) + 2).to_bytes(2, "big")
    told = jpeg.tobytes()[:2] + b"\xff\xe1" + length + block + jpeg.tobytes()[2:]
    (tmp_path / "a.jpg").write_bytes(told)

    def focal_px(options: CaptureOptions) -> float:
        (frame,) = open_source(str(tmp_path / "a.jpg"), options).frames
        return float(frame.camera.K[0, 0])

    by_default = DemoConfig("a.jpg").capture
    # 36 mm of film behind 26 mm.
    assert focal_px(by_default) == pytest.approx(26 / 36 * 72)
    assert focal_px(DemoConfig("a.jpg", fov_deg=90).capture) == pytest.approx(36)
