import json
import zipfile
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


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "notes", "notes.txt"])
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


@pytest.mark.parametrize("name", ["photo", "photo.mp4", "photo.JFIF"])
def test_a_picture_is_one_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    ok, data = cv2.imencode(".jpg", np.zeros((30, 40, 3), np.uint8))
    assert ok
    (tmp_path / name).write_bytes(data.tobytes())
    capture = open_source(str(tmp_path / name), OPTIONS)
    assert (capture.count, capture.fps) == (1, None)


def test_archive_is_never_played(tmp_path: Path) -> None:
    # FFmpeg finds the pictures inside a ZIP and plays them.
    picture = cv2.imencode(".jpg", np.zeros((30, 40, 3), np.uint8))[1].tobytes()
    with zipfile.ZipFile(tmp_path / "capture.r3d", "w") as archive:
        archive.writestr("0.jpg", picture)
        archive.writestr("1.jpg", picture)
    with pytest.raises(InputError, match="is a ZIP archive; unpack it and pass the folder"):
        open_source(str(tmp_path / "capture.r3d"), OPTIONS)
    (tmp_path / "notes.bin").write_bytes(b"some bytes" + 3 * picture)
    with pytest.raises(InputError, match="neither a picture nor a video"):
        open_source(str(tmp_path / "notes.bin"), OPTIONS)


def test_folder_of_foreign_poses_is_named_with_the_pictures_it_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "transforms.json").touch()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((30, 40, 3), np.uint8))
    words = "sub-folders: images; .*transforms.json looks like poses of nerfstudio"
    with pytest.raises(InputError, match=words):
        open_source(str(tmp_path), OPTIONS)
    capture = open_source(str(tmp_path / "images"), OPTIONS)
    assert not capture.posed
    (record,) = caplog.records
    assert "transforms.json looks like poses of nerfstudio" in record.getMessage()


def test_film_beside_foreign_poses_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_video(tmp_path / "rgb.avi", 2)
    (tmp_path / "odometry.csv").touch()
    open_source(str(tmp_path / "rgb.avi"), OPTIONS)
    (record,) = caplog.records
    assert "looks like poses of Stray Scanner, which are not read" in record.getMessage()


def test_home_and_file_addresses_lead_to_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    cv2.imwrite(str(tmp_path / "a b.png"), np.zeros((30, 40, 3), np.uint8))
    for source in ("~/a b.png", (tmp_path / "a b.png").as_uri()):
        assert open_source(source, OPTIONS).count == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "--source is empty"),
        ("n" * 300, "File name too long|no such file"),
        ("99999999999999999999", "webcam 999999999: none there"),
        ("rtsp:/user:secret@127.0.0.1:9/x", "^rtsp://127.0.0.1:9/x: no video came"),
    ],
)
def test_sources_that_name_nothing_are_refused(source: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_source(source, OPTIONS)


@pytest.mark.parametrize(
    ("end_ns", "fps"), [(50_000_000, 20.0), (2, 30.0), (0, 30.0), (10**12, 30.0)]
)
def test_overlays_of_a_recording_have_a_rate_that_can_be_shown(
    tmp_path: Path, end_ns: int, fps: float
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    frame = {
        "file": "a.png",
        "K": [[50, 0, 32], [0, 50, 24], [0, 0, 1]],
        "world_from_camera": [[1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, -1, 0], [0, 0, 0, 1]],
        "support_height": 0,
    }
    frames = [{**frame, "timestamp_ns": time} for time in (0, end_ns)]
    session = {"points2objects_session": 1, "frames": frames}
    (tmp_path / "session.json").write_text(json.dumps(session), encoding="utf-8")
    assert open_source(str(tmp_path), OPTIONS).fps == pytest.approx(fps)
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
