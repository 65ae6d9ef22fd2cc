"""Read an STL file, binary or text, whatever its header says and whatever lies behind it."""

import re

import numpy as np

from p2o_shapedb.cad.mesh_part import MeshPart
from p2o_shapedb.cad.model_folder import LoadLimits
from p2o_shapedb.cad.polygons import Polygons
from p2o_shapedb.cad.surface import Surface, check_triangles
from p2o_shapedb.cad.text_file import decode_text, to_floats
from points2objects.errors import InputError
from points2objects.geometry import FloatArray

_HEADER_BYTES, _TRIANGLE_BYTES = 84, 50
_WORDS_AT_ONCE = 1 << 18
_VERTEX_OR_END = re.compile(r"vertex\s+(\S+)\s+(\S+)\s+(\S+)|endloop")
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
        b"\0" not in data.rstrip(b"\0") or data.startswith((b"\xff\xfe", b"\xfe\xff"))
    )
    if (claimed < 0 or behind != 0) and is_text:
        return _text(decode_text(data, limits, count_words=False), limits), ()
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
    if max(text.count("endloop"), text.count("vertex") // 3) > limits.triangles:
        raise InputError(f"has more than {limits.triangles} triangles")
    chunks: list[FloatArray] = [np.zeros((0, 3))]
    rows: list[str] = []
    counts = [0]
    for found in _VERTEX_OR_END.finditer(text):
        if found[1] is None:
            counts.append(0)
            continue
        rows += found.group(1, 2, 3)
        counts[-1] += 1
        if len(rows) >= _WORDS_AT_ONCE:
            chunks.append(to_floats(rows, "a vertex").reshape(-1, 3))
            rows = []
    vertices = np.concatenate([*chunks, to_floats(rows, "a vertex").reshape(-1, 3)])
    if len(vertices) < text.count("vertex"):
        raise InputError("is truncated: its last vertex has fewer than three numbers")
    if counts.pop():
        raise InputError("is truncated: its last facet does not end")
    polygons = Polygons(np.arange(len(vertices)), np.array(counts, np.int64))
    return Surface(vertices, polygons).part(limits)
