"""A picture's own word on its lens: read from each kind of file, and disbelieved when odd."""

import struct

import pytest

from points2objects.exif import exif_fov_deg

Tag = tuple[int, int, int | tuple[int, int]]
FILM, FOCAL, WIDTH, HEIGHT = 0xA405, 0x920A, 0xA002, 0xA003
PLANE_X, PLANE_UNIT = 0xA20E, 0xA210


def _tiff(tags: list[Tag], order: str = "<") -> bytes:
    """Write a TIFF whose EXIF directory holds the tags: 3 short, 4 long, 5 rational."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    pointer = struct.pack(order + "HHHII", 1, 0x8769, 4, 1, 26) + struct.pack(order + "I", 0)
    data_at = 26 + 2 + 12 * len(tags) + 4
    entries, data = b"", b""
    for tag, kind, value in tags:
        entries += struct.pack(order + "HHI", tag, kind, 1)
        if isinstance(value, tuple):
            entries += struct.pack(order + "I", data_at + len(data))
            data += struct.pack(order + "II", *value)
        else:
            entries += struct.pack(
                order + ("HH" if kind == 3 else "I"), value, *([0] * (kind == 3))
            )
    directory = struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", 0)
    return head + pointer + directory + data


def _jpeg(tiff: bytes) -> bytes:
    other = b"\xff\xe0" + struct.pack(">H", 6) + b"JFIF"
    block = b"Exif\0\0" + tiff
    return (
        b"\xff\xd8" + other + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + b"\xff\xda"
    )


def _png(tiff: bytes) -> bytes:
    chunks = [(b"IHDR", b"x" * 13), (b"eXIf", tiff), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + name + d + b"crc!" for name, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def _webp(tiff: bytes) -> bytes:
    chunks = [(b"VP8 ", b"odd"), (b"EXIF", b"Exif\0\0" + tiff)]
    body = b"".join(n + struct.pack("<I", len(d)) + d + b"\0" * (len(d) % 2) for n, d in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wrap", [_jpeg, _png, _webp, bytes])
def test_focal_length_for_film_is_read_from_each_kind_of_file(order: str, wrap) -> None:  # type: ignore[no-untyped-def]
    data = wrap(_tiff([(WIDTH, 4, 3000), (FILM, 3, 26)], order))
    # 36 mm of film behind 26 mm.
    assert exif_fov_deg(data, 3000, 2000) == pytest.approx(69.39, abs=0.01)
    assert exif_fov_deg(data, 2000, 3000) == pytest.approx(69.39, abs=0.01)


@pytest.mark.parametrize(("mm", "fov_deg"), [(14, 104.25), (26, 69.39), (77, 26.32)])
def test_longer_lenses_see_less(mm: int, fov_deg: float) -> None:
    assert exif_fov_deg(_jpeg(_tiff([(FILM, 3, mm)])), 480, 320) == pytest.approx(fov_deg, abs=0.01)


def test_film_and_sensor_share_the_diagonal() -> None:
    # A phone's 4:3 picture: the film's diagonal of 43.27 mm is 5 to its longer side's 4.
    data = _jpeg(_tiff([(FILM, 3, 26)]))
    assert exif_fov_deg(data, 4000, 3000) == pytest.approx(67.30, abs=0.01)


def test_sensor_resolution_serves_where_film_is_not_named() -> None:
    # 4000 px at 1000 px a centimetre: 40 mm of sensor behind 20 mm.
    tags: list[Tag] = [(WIDTH, 4, 4000), (HEIGHT, 4, 3000), (FOCAL, 5, (200, 10)),
                       (PLANE_X, 5, (1000, 1)), (PLANE_UNIT, 3, 3)]  # fmt: skip
    assert exif_fov_deg(_jpeg(_tiff(tags)), 4000, 3000) == pytest.approx(90.0)
    # A smaller copy shows the same.
    assert exif_fov_deg(_jpeg(_tiff(tags)), 400, 300) == pytest.approx(90.0)


def test_picture_cut_after_it_was_taken_tells_nothing() -> None:
    data = _jpeg(_tiff([(WIDTH, 4, 4000), (HEIGHT, 4, 3000), (FILM, 3, 26)]))
    assert exif_fov_deg(data, 4000, 3000) is not None
    assert exif_fov_deg(data, 3000, 4000) is not None
    assert exif_fov_deg(data, 3000, 3000) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"\xff\xd8\xff",
        _jpeg(b""),
        _jpeg(b"XX*\0junk"),
        _jpeg(_tiff([(FILM, 3, 0)])),
        _jpeg(_tiff([(FILM, 5, (26, 0))])),
        _jpeg(_tiff([(FILM, 3, 26)])[:30]),
        _jpeg(_tiff([(FILM, 4, 4_000_000_000)])),
    ],
)
def test_odd_data_counts_as_absent(data: bytes) -> None:
    assert exif_fov_deg(data, 40, 30) is None


def test_every_cut_of_a_file_is_survived() -> None:
    data = _jpeg(_tiff([(WIDTH, 4, 4000), (FOCAL, 5, (200, 10)), (FILM, 3, 26)]))
    for end in range(len(data)):
        exif_fov_deg(data[:end], 40, 30)
