import http.server
import struct
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from p2o_demo.streams import is_url, open_url, open_video, shown_url
from points2objects.errors import InputError

PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def write_video(path: Path, n_frames: int = 6, fps: float = 10.0, codec: str = "mp4v") -> Path:
    """Write frames of 64x48, each redder than the one before, white on the left."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    assert video.isOpened()
    for index in range(n_frames):
        frame = np.full((48, 64, 3), (0, 0, 30 * index), np.uint8)
        frame[:, :16] = 255
        video.write(frame)
    video.release()
    return path


def with_varying_rate(mp4: bytes, deltas: list[float]) -> bytes:
    """Give the frames of an MP4 durations, as shares of the usual one, of the same sum.

    A phone writes such a table of durations when it records at a varying rate.
    """
    start = mp4.index(b"stts") - 4
    size, count, ticks = (struct.unpack_from(">I", mp4, start + at)[0] for at in (0, 16, 20))
    assert count == len(deltas)
    assert sum(deltas) == pytest.approx(count)
    rows = b"".join(struct.pack(">II", 1, round(delta * ticks)) for delta in deltas)
    table = struct.pack(">I4sII", 16 + len(rows), b"stts", 0, count) + rows
    data = bytearray(mp4[:start] + table + mp4[start + size :])
    for name in PARENTS:
        at = data.index(name) - 4
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(table) - size)
    return bytes(data)


def turned(mp4: bytes, degrees: int) -> bytes:
    """Say in the track's header how a player must turn the film, as phones do."""
    one = 1 << 16
    a, b = {0: (one, 0), 90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    matrix = struct.pack(">9i", a, b, 0, -b, a, 0, 0, 0, 1 << 30)
    at = mp4.index(b"tkhd") + 4 + 40
    return mp4[:at] + matrix + mp4[at + 36 :]


def times_ms(path: Path) -> list[int]:
    return [round(timed.time_ns / 1e6) for timed in open_video(path).images]


def test_frames_come_at_the_times_that_the_file_says(tmp_path: Path) -> None:
    path = write_video(tmp_path / "phone.mp4")
    assert times_ms(path) == [0, 100, 200, 300, 400, 500]
    path.write_bytes(with_varying_rate(path.read_bytes(), [0.2, 0.2, 3.8, 0.2, 0.8, 0.8]))
    assert times_ms(path) == [0, 20, 40, 420, 440, 520]
    stream = open_video(path)
    assert (stream.count, stream.live) == (6, False)
    assert stream.fps == pytest.approx(10)


def test_animated_gif_is_played_with_its_pauses(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 32), (60 * index, 0, 0)) for index in range(4)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[100, 700, 100, 100])
    assert times_ms(path) == [0, 100, 800, 900]
    reds = [timed.image[8, 8, 0] for timed in open_video(path).images]
    np.testing.assert_allclose(reds, [0, 60, 120, 180], atol=6)


@pytest.mark.parametrize(
    ("degrees", "shape", "white"),
    [(0, (48, 64), "left"), (90, (64, 48), "top"), (180, (48, 64), "right"),
     (270, (64, 48), "bottom")],
)  # fmt: skip
def test_film_of_a_turned_phone_is_upright(
    tmp_path: Path, degrees: int, shape: tuple[int, int], white: str
) -> None:
    path = write_video(tmp_path / "phone.mp4")
    path.write_bytes(turned(path.read_bytes(), degrees))
    image = next(open_video(path).images).image.astype(int)
    assert image.shape == (*shape, 3)
    parts = {"left": image[:, :12], "right": image[:, -12:], "top": image[:12],
             "bottom": image[-12:]}  # fmt: skip
    assert [name for name, part in parts.items() if part.mean() > 200] == [white]


def test_film_that_ends_early_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_video(tmp_path / "a.avi", 40, codec="MJPG")
    data = path.read_bytes()
    start = 0
    for _ in range(12):
        start = data.index(b"00dc", start + 1)
    path.write_bytes(data[: start + 20])
    stream = open_video(path)
    count = sum(1 for _ in stream.images)
    assert 9 <= count <= 12
    assert stream.count == 40
    (record,) = caplog.records
    assert f"the video says 40 frames, but only {count} can be decoded" in record.getMessage()


@pytest.mark.parametrize("content", [b"", bytes(99), b"\0\0\0\x18ftypmp42", b"ffconcat version 1"])
def test_what_is_no_film_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match="neither a picture nor a video that OpenCV can decode"):
        open_video(path)


def test_a_numbered_picture_is_no_series_of_pictures(tmp_path: Path) -> None:
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"clip{index}.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "clip0.png").write_bytes(b"broken")
    with pytest.raises(InputError, match="neither a picture nor a video"):
        open_video(tmp_path / "clip0.png")


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("http://x/y", True),
        ("RTSP://user:pw@host/1", True),
        ("rtsp:/user:pw@host", True),
        ("file:///tmp/a.mp4", True),
        ("C:/a.mp4", False),
        ("/tmp/http:x", False),
        ("clip.mp4", False),
    ],
)
def test_addresses_are_told_from_files(source: str, url: bool) -> None:
    assert is_url(source) == url


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://user:secret@camera:554/live",
        "rtsp://user:se@cret@camera:554/live",
        "rtsp:/user:secret@camera:554/live",
        "rtsp://camera:554/live?token=secret#secret",
    ],
)
def test_passwords_are_never_shown(url: str) -> None:
    assert shown_url(url) == "rtsp://camera:554/live"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://user:secret@host/a.mp4", "ftp://host/a.mp4: addresses begin with http, https, rt"),
        ("http://user:secret@127.0.0.1:9/x", "http://127.0.0.1:9/x: no video came from there"),
    ],
)
def test_addresses_without_a_video_are_refused(
    url: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=words) as refused:
        open_url(url)
    assert "secret" not in str(refused.value) + "".join(capfd.readouterr())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    handler = partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def test_film_on_a_server_is_played(tmp_path: Path, server: str) -> None:
    write_video(tmp_path / "a.avi", 5, codec="MJPG")
    stream = open_url(f"{server}/a.avi")
    assert sum(1 for _ in stream.images) == 5
