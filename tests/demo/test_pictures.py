from pathlib import Path

import cv2
import numpy as np
import pytest

from p2o_demo.pictures import list_pictures, read_picture
from points2objects.errors import InputError


def write(path: Path, image: np.ndarray) -> Path:
    ok, data = cv2.imencode(path.suffix, image)
    assert ok
    path.write_bytes(data.tobytes())
    return path


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Insert an EXIF block that holds nothing but the orientation."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\x00\x00"
    tiff = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    block = b"Exif\x00\x00" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]


def test_picture_comes_as_rgb(tmp_path: Path) -> None:
    bgr = np.zeros((4, 6, 3), np.uint8)
    bgr[..., 2] = 200
    image = read_picture(write(tmp_path / "red.png", bgr))
    assert image.shape == (4, 6, 3)
    assert image[0, 0].tolist() == [200, 0, 0]


def test_exif_orientation_turns_the_picture_upright(tmp_path: Path) -> None:
    bgr = np.zeros((32, 64, 3), np.uint8)
    bgr[:, :16] = 255
    path = write(tmp_path / "phone.jpg", bgr)
    path.write_bytes(with_orientation(path.read_bytes(), 6))
    image = read_picture(path)
    assert image.shape == (64, 32, 3)
    # Orientation 6: the stored left edge is the top of the upright picture.
    assert image[:12].mean() > 200
    assert image[20:].mean() < 50
    as_stored = read_picture(path, upright=False)
    assert as_stored.shape == (32, 64, 3)
    assert as_stored[:, :12].mean() > 200
    assert as_stored[:, 20:].mean() < 50


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [
        ((8, 8), np.uint8, "got grey; convert it to RGB first"),
        ((8, 8, 4), np.uint8, "got RGBA; convert it to RGB first"),
        ((8, 8, 3), np.uint16, "expected 8 bits per channel, got uint16"),
    ],
)
def test_other_kinds_are_refused_by_name(
    tmp_path: Path, shape: tuple[int, ...], dtype: type, words: str
) -> None:
    path = write(tmp_path / "odd.png", np.ones(shape, dtype))
    with pytest.raises(InputError, match=words):
        read_picture(path)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0half"])
def test_broken_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.jpg: not a readable picture"):
        read_picture(path)


def test_missing_picture_names_the_choices(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; pass a picture, video, folder or webcam"):
        read_picture(tmp_path / "none.jpg")


def test_folder_lists_pictures_by_name_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_pictures(tmp_path)] == ["a.png", "b.JPG"]


def test_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no pictures"):
        list_pictures(tmp_path)
