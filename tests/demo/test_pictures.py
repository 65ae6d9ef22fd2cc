import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from p2o_demo.pictures import MOST_PIXELS, count_pictures, picture_size, read_picture
from points2objects.errors import InputError

RED = (200, 30, 10)


def write(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)  # type: ignore[arg-type]
    return path


def half_white(mode: str = "RGB") -> Image.Image:
    """A picture of 64x32, white on its left quarter."""
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, :16] = 255
    return Image.fromarray(pixels).convert(mode)


def tiny_heif(brand: bytes) -> bytes:
    """The beginning of a HEIF file, which says what kind it is."""
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1" + brand + bytes(64)


def huge_png() -> bytes:
    """A PNG of a few bytes whose header claims 30000x30000."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9)))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def huge_jpeg() -> bytes:
    """A whole small JPEG whose frame header claims 30000x30000."""
    data = io.BytesIO()
    Image.new("RGB", (16, 16)).save(data, "JPEG")
    content = bytearray(data.getvalue())
    start = content.index(b"\xff\xc0")
    content[start + 5 : start + 9] = struct.pack(">HH", 30000, 30000)
    return bytes(content)


def huge_bmp() -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, 30000, 30000, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 12, 0, 0, 54) + head + bytes(12)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".jpg", ".jfif", ".avif"])
def test_picture_comes_as_rgb(tmp_path: Path, suffix: str) -> None:
    kind = {".jfif": "JPEG"}.get(suffix)
    path = write(tmp_path / f"red{suffix}", Image.new("RGB", (6, 4), RED), format=kind)
    image = read_picture(path)
    assert image.shape == (4, 6, 3)
    np.testing.assert_allclose(image[0, 0], RED, atol=6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = write(tmp_path / "phone.jpg", half_white(), exif=exif, quality=95)
    # Where the stored left edge goes, by the standard.
    edge = ["left", "right", "right", "left", "top", "top", "bottom", "bottom"][orientation - 1]
    image = read_picture(path).astype(int)
    assert image.shape == ((32, 64, 3) if orientation < 5 else (64, 32, 3))
    parts = {
        "left": image[:, :12],
        "right": image[:, -12:],
        "top": image[:12],
        "bottom": image[-12:],
    }
    bright = [name for name, part in parts.items() if part.mean() > 200]
    assert bright == [edge]
    as_stored = read_picture(path, upright=False)
    assert as_stored.shape == (32, 64, 3)
    assert as_stored[:, :12].mean() > 200
    assert as_stored[:, 20:].mean() < 50
    assert picture_size(path) == (64, 32)


@pytest.mark.parametrize(
    ("mode", "color", "seen"),
    [
        ("RGBA", (*RED, 255), RED),  # every screenshot
        ("RGBA", (*RED, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("P", 7, None),
        ("CMYK", (0, 0, 0, 0), (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
    ],
)
def test_colours_of_other_kinds_come_as_rgb(
    tmp_path: Path, mode: str, color: tuple[int, ...] | int, seen: tuple[int, ...] | None
) -> None:
    picture = Image.new(mode, (8, 8), color)
    if mode == "P":
        picture.putpalette([channel for _ in range(256) for channel in RED])
        seen = RED
    path = write(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), picture)
    np.testing.assert_array_equal(read_picture(path)[3, 3], seen)


def test_transparent_palette_is_put_on_white(tmp_path: Path) -> None:
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([*RED, 0, 0, 0])
    picture.putpixel((4, 4), 1)
    path = write(tmp_path / "a.png", picture, transparency=0)
    image = read_picture(path)
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[4, 4].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("mode", "name", "words"),
    [
        ("L", "a.png", "got grey; convert it to RGB first"),
        ("L", "a.jpg", "got grey; convert it to RGB first"),
        ("LA", "a.png", "got grey with alpha; convert it to RGB first"),
        ("1", "a.png", "got black and white; convert it to RGB first"),
        ("I;16", "a.png", "expected 8 bits per channel, got 16 or more"),
        ("I;16", "a.tif", "expected 8 bits per channel, got 16 or more"),
        ("F", "a.tif", "got float numbers"),
    ],
)
def test_what_may_be_a_depth_or_mask_is_refused_by_name(
    tmp_path: Path, mode: str, name: str, words: str
) -> None:
    path = write(tmp_path / name, Image.new(mode, (8, 8), 1))
    with pytest.raises(InputError, match=words):
        read_picture(path)


def test_colours_of_sixteen_bits_are_refused(tmp_path: Path) -> None:
    import cv2

    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", np.full((8, 8, 3), 40000, np.uint16))[1].tobytes())
    with pytest.raises(InputError, match="expected 8 bits per channel, got 16 or more; convert it"):
        read_picture(path)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_animations_are_refused_and_counted(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), (40 * index, 0, 0)) for index in range(3)]
    path = write(tmp_path / f"a{suffix}", frames[0], save_all=True, append_images=frames[1:])
    assert count_pictures(path) == 3
    with pytest.raises(InputError, match="holds 3 pictures, not one; save the one you mean"):
        read_picture(path)


def test_gif_of_one_picture_is_a_picture(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gif", Image.new("RGB", (8, 8), RED))
    np.testing.assert_allclose(read_picture(path)[0, 0], RED, atol=3)


def test_second_picture_in_a_phones_jpeg_is_passed_over(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8))
    path = write(tmp_path / "a.jpg", first, format="MPO", save_all=True, append_images=[second])
    np.testing.assert_allclose(read_picture(path)[0, 0], RED, atol=6)


@pytest.mark.parametrize(("name", "brand"), [("a.heic", b"heic"), ("a.jpg", b"heix")])
def test_heic_is_named_whatever_the_file_is_called(
    tmp_path: Path, name: str, brand: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as where it is not installed
    (tmp_path / name).write_bytes(tiny_heif(brand))
    words = "HEIC pictures are not read; save it as JPEG .*pip install pillow-heif"
    with pytest.raises(InputError, match=words):
        read_picture(tmp_path / name)


def test_heic_of_tiles_is_read_whole_where_its_package_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    picture = Image.effect_noise((1200, 800), 50).convert("RGB")
    path = write(tmp_path / "a.heic", picture)
    assert read_picture(path).shape == (800, 1200, 3)


def test_raw_picture_is_never_read_as_its_thumbnail(tmp_path: Path) -> None:
    path = write(tmp_path / "thumbnail.tif", Image.new("RGB", (8, 8), RED))
    raw = path.rename(tmp_path / "a.dng")
    with pytest.raises(InputError, match="raw pictures are not read; save it as JPEG"):
        read_picture(raw)


@pytest.mark.parametrize(
    ("name", "make"), [("a.png", huge_png), ("a.jpg", huge_jpeg), ("a.bmp", huge_bmp)]
)
def test_size_is_checked_in_the_header(tmp_path: Path, name: str, make: object) -> None:
    (tmp_path / name).write_bytes(make())  # type: ignore[operator]
    words = rf"30000x30000 pixels; at most {MOST_PIXELS // 10**6} million are read"
    with pytest.raises(InputError, match=words):
        read_picture(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".gif", ".bmp", ".avif"])
def test_half_a_picture_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = write(tmp_path / f"a{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="not a readable picture; save it again as JPEG or PNG"):
        read_picture(path)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0half", b"<html>"])
def test_broken_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.jpg: not a readable picture"):
        read_picture(path)


def test_missing_picture_names_the_choices(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; pass a picture, video, folder or webcam"):
        read_picture(tmp_path / "none.jpg")


def test_pixels_are_those_that_opencv_decodes(tmp_path: Path) -> None:
    import cv2

    path = Path(__file__).parents[2] / "demo" / "frames" / "armchair.jpg"
    bgr = cv2.imread(str(path))
    assert bgr is not None
    np.testing.assert_array_equal(read_picture(path), bgr[..., ::-1])
