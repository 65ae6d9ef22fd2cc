import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from p2o_demo.names import displayed, native_path, shortened, user_path


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain name.jpg", "plain name.jpg"),
        ("Zürich 図.jpg".encode(), "Zürich 図.jpg"),
        (b"caf\xe9.jpg", "café.jpg"),
        (b"price \x80.jpg", "price €.jpg"),
        (b"bell\x07\x1b[31m\n.jpg", "bell\\x07\\x1b[31m\\n.jpg"),
    ],
)
def test_names_are_shown_as_text_that_harms_nobody(raw: bytes, shown: str) -> None:
    name = displayed(os.fsdecode(raw))
    assert name == shown
    name.encode("utf-8")


def test_long_names_are_cut_between_letters() -> None:
    assert shortened("short") == "short"
    cut = shortened("ü" * 200)
    assert cut == "ü" * 100


def test_home_is_expanded_where_no_file_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert user_path("~/x") == tmp_path / "x"
    assert user_path("a~b") == Path("a~b")
    assert user_path("~nobody-has-this-name") == Path("~nobody-has-this-name")
    (tmp_path / "~").touch()
    assert user_path("~") == Path("~")


@pytest.mark.skipif(os.name != "posix", reason="names are text elsewhere")
@pytest.mark.parametrize("raw", [b"d\xe9r/clip.avi", b"dir/cl\xefp.avi", b"d\xe9r/cl\xefp.avi"])
def test_opencv_opens_films_whose_names_are_no_utf8(tmp_path: Path, raw: bytes) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw))
    path.parent.mkdir()
    with native_path(path.parent / "x.avi") as name:
        writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    (path.parent / "x.avi").rename(path)
    with native_path(path) as name:
        video = cv2.VideoCapture(name)
        assert video.read()[0]
    assert not Path(name).parent.exists() or Path(name).parent == path.parent
    video.release()
