"""Read an STL file, binary or text, whatever its header says and whatever lies behind it."""

import re

import numpy as np

from p2o_shapedb.cad.mesh_part import MeshPart
from p2o_shapedb.cad.model_folder import LoadLimits
from p2o_shapedb.cad.polygons import Polygons
from p2o_shapedb.cad.surface import Surface, check_triangles
from p2o_shapedb.cad.text_file import decode_text, to_floats
from points2objects.errors import InputError

_HEADER_BYTES, _TRIANGLE_BYTES = 84, 50
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read_stl(data: bytes, limits: LoadLimits) -> tuple[MeshPart, tuple[str, ...]]:
    """Read the bytes of an .stl file; also return what was left unread.

    Raises:
        InputError: Broken, or larger than the limits.
    """
    claimed = int.from_bytes(data[80:84], "little") if len(data) >= _HEADER_BYTES else -1
    if claimed == 0 and (len(data) - _HEADER_BYTES) % _TRIANGLE_BYTES == 0:
        claimed = (len(data) - _HEADER_BYTES) // _TRIANGLE_BYTES  # a writer that never came back
    behind = len(data) - _HEADER_BYTES - _TRIANGLE_BYTES * claimed
    # Many binary files begin with "solid", too; text holds no zero bytes, unless it is UTF-16.
    begins = data[:512].lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0")[:11].replace(b"\0", b"").lower()
    is_text = begins.startswith((b"solid", b"facet")) and (
        b"\0" not in data or data.startswith((b"\xff\xfe", b"\xfe\xff"))
    )
    if (claimed < 0 or behind != 0) and is_text:
        return _text(decode_text(data, limits), limits), ()
    if claimed < 0 or behind < 0:
        raise InputError(
            f"is no STL file, or truncated: its header claims {max(claimed, 0)} triangles, "
            f"{_HEADER_BYTES + _TRIANGLE_BYTES * max(claimed, 0)} bytes, and it has {len(data)}"
        )
    check_triangles(np.array([claimed + 2]), limits)
    triangles = np.frombuffer(data, _TRIANGLE, claimed, _HEADER_BYTES)
    notes = (f"{behind} bytes behind the last triangle not read",) if behind else ()
    with np.errstate(invalid="ignore"):  # some NaN count as invalid when cast
        vertices = triangles["corners"].reshape(-1, 3).astype(float)
    return MeshPart(vertices, np.arange(3 * claimed).reshape(-1, 3), None), notes


def _text(text: str, limits: LoadLimits) -> MeshPart:
    # What a solid is called must not be taken for a vertex; a file may also have no line ends.
    text = re.sub(r"(?im)^[ \t]*(?:end[ \t]*)?solid(?![^\n]*\bfacet\b)[^\n]*", " ", text).lower()
    words = text.split()
    begins = [place for place, word in enumerate(words) if word == "vertex"]
    if len(begins) > 3 * limits.triangles:
        raise InputError(f"has more than {limits.triangles} triangles")
    if begins and begins[-1] + 4 > len(words):
        raise InputError("is truncated: its last vertex has fewer than three numbers")
    numbers = [word for place in begins for word in words[place + 1 : place + 4]]
    vertices = to_floats(numbers, "a vertex").reshape(-1, 3)
    loops = np.array([place for place, word in enumerate(words) if word == "endloop"], np.int64)
    counts = np.diff(np.searchsorted(np.array(begins, np.int64), loops), prepend=0)
    if counts.sum() < len(vertices):
        raise InputError("is truncated: its last facet does not end")
    polygons = Polygons(np.arange(len(vertices)), counts)
    return Surface(vertices, polygons).part(limits)
