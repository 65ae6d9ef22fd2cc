"""The field of view that a picture file tells of itself: its EXIF focal length.

A few tags out of a TIFF directory, wherever JPEG, PNG, WebP and TIFF files keep it. Nobody needs
this data to be there or right: what is odd counts as absent.
"""

import math
import struct
from collections.abc import Iterator
from fractions import Fraction

_EXIF_IFD, _FOCAL_MM, _FOCAL_35MM = 0x8769, 0x920A, 0xA405
_WIDTH, _HEIGHT = 0xA002, 0xA003
_PLANE_X, _PLANE_Y, _PLANE_UNIT = 0xA20E, 0xA20F, 0xA210
_WANTED = {_EXIF_IFD, _FOCAL_MM, _FOCAL_35MM, _WIDTH, _HEIGHT, _PLANE_X, _PLANE_Y, _PLANE_UNIT}

_DIAGONAL_35MM = math.hypot(36.0, 24.0)
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0}
_MOST_TAGS = 1000

Tags = dict[int, Fraction]


def exif_fov_deg(data: bytes, width: int, height: int) -> float | None:
    """Return the field of view across a picture's longer side, degrees, if its file says it.

    Taken from the focal length for 35 mm film, which has the same diagonal field of view, or from
    the focal length and the resolution of the sensor. A picture that is of another shape than its
    camera made it was cut, and what its lens saw is then not known.

    Args:
        data: The whole file: JPEG, PNG, WebP or TIFF.
        width: Of the picture, px; upright or not is the same.
        height: The same.
    """
    tags = _read_tags(data)
    taken = sorted((tags.get(_WIDTH, Fraction(0)), tags.get(_HEIGHT, Fraction(0))))
    short, long = sorted((width, height))
    if short < 1 or (taken[0] > 0 and abs(taken[0] / taken[1] * long / short - 1) > 0.02):
        return None
    half_tangent = _by_film(tags, short, long) or _by_sensor(tags, taken[1])
    if half_tangent is None:
        return None
    fov_deg = math.degrees(2 * math.atan(half_tangent))
    return fov_deg if 1 < fov_deg < 179 else None


def _by_film(tags: Tags, short: int, long: int) -> float | None:
    focal_mm = tags.get(_FOCAL_35MM, Fraction(0))
    if focal_mm <= 0:
        return None
    return float(_DIAGONAL_35MM * long / math.hypot(short, long) / 2 / float(focal_mm))


def _by_sensor(tags: Tags, long: Fraction) -> float | None:
    """Return the same by millimetres of the sensor; `long` is in its pixels."""
    focal_mm = tags.get(_FOCAL_MM, Fraction(0))
    unit_mm = _UNIT_MM.get(int(tags.get(_PLANE_UNIT, 2)))
    across = tags.get(_PLANE_X if tags.get(_WIDTH) == long else _PLANE_Y, Fraction(0))
    if focal_mm <= 0 or across <= 0 or long <= 0 or unit_mm is None:
        return None
    return float(long / across) * unit_mm / 2 / float(focal_mm)


def _read_tags(data: bytes) -> Tags:
    try:
        tiff = _tiff_of(data)
        if tiff is None:
            return {}
        order = {b"II*\0": "<", b"MM\0*": ">"}[tiff[:4]]
        tags = dict(_directory(tiff, struct.unpack_from(order + "I", tiff, 4)[0], order))
        if _EXIF_IFD in tags:
            tags |= dict(_directory(tiff, int(tags[_EXIF_IFD]), order))
        return tags
    except (struct.error, KeyError, ZeroDivisionError, OverflowError):
        return {}


def _directory(tiff: bytes, start: int, order: str) -> Iterator[tuple[int, Fraction]]:
    """Yield the wanted tags of one directory that hold one number."""
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for index in range(min(count, _MOST_TAGS)):
        at = start + 2 + 12 * index
        tag, kind, length = struct.unpack_from(order + "HHI", tiff, at)
        if tag not in _WANTED or length != 1:
            continue
        if kind == 3:
            yield tag, Fraction(struct.unpack_from(order + "H", tiff, at + 8)[0])
        elif kind == 4:
            yield tag, Fraction(struct.unpack_from(order + "I", tiff, at + 8)[0])
        elif kind == 5:
            (place,) = struct.unpack_from(order + "I", tiff, at + 8)
            over, under = struct.unpack_from(order + "II", tiff, place)
            if under:
                yield tag, Fraction(over, under)


def _tiff_of(data: bytes) -> bytes | None:
    """Return the TIFF data that holds a file's EXIF."""
    if data[:4] in (b"II*\0", b"MM\0*"):
        return data
    if data[:2] == b"\xff\xd8":
        return _in_jpeg(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _in_png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _in_webp(data)
    return None


def _in_jpeg(data: bytes) -> bytes | None:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, (length,) = data[at + 1], struct.unpack_from(">H", data, at + 2)
        if marker == 0xDA:
            return None
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            return data[at + 10 : at + 2 + length]
        at += 2 + length
    return None


def _in_png(data: bytes) -> bytes | None:
    at = 8
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"eXIf":
            return data[at + 8 : at + 8 + length]
        at += 12 + length
    return None


def _in_webp(data: bytes) -> bytes | None:
    at = 12
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        if name == b"EXIF":
            return data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0")
        at += 8 + length + length % 2
    return None
