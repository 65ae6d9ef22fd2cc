"""Open a glTF 2.0 file and read its accessors, trusting none of its numbers.

Nothing is allocated before the bytes that would fill it are known to be there.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from p2o_shapedb.cad.model_folder import LoadLimits, ModelFolder
from points2objects.errors import InputError
from points2objects.glb_container import COMPONENTS, split_chunks

Record = dict[str, Any]
Array = npt.NDArray[Any]

_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_COMPRESSED = (
    "KHR_draco_mesh_compression",
    "EXT_meshopt_compression",
    "KHR_meshopt_compression",
)
_GEOMETRY_KNOWN = (
    *("KHR_mesh_quantization", "KHR_node_visibility", "EXT_mesh_gpu_instancing"),
    *("KHR_lights_punctual", "KHR_xmp_json_ld", "MSFT_lod"),
)
_LOOKS = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "MSFT_texture_", "KHR_animation_")


@dataclass(frozen=True)
class GltfDocument:
    """A glTF file whose buffers are in memory and as long as they claim.

    Attributes:
        json: The document.
        buffers: Bytes of each buffer.
        path: The file.
        folder: Where its textures may come from.
        limits: What it may cost.
        notes: What was odd about the file, one phrase each.
    """

    json: Record
    buffers: tuple[bytes, ...]
    path: Path
    folder: ModelFolder
    limits: LoadLimits
    notes: tuple[str, ...] = ()


def open_gltf(path: Path, limits: LoadLimits) -> GltfDocument:
    """Read a .glb or .gltf file and its buffers; what it is its first bytes say, not its name.

    Raises:
        InputError: Broken, compressed, longer than the limits, or with buffers elsewhere.
    """
    data = path.read_bytes()
    is_glb = data.startswith(b"glTF")
    looks_like_json = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"
    is_named_glb = path.suffix.lower() == ".glb"
    swapped = is_glb != is_named_glb and (is_glb or looks_like_json)
    text, binary = split_chunks(data) if is_glb or (is_named_glb and not swapped) else (data, None)
    text = text.rstrip(b"\0")  # padding of some writers, which should be spaces
    if len(text) < 2 or text.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
        raise InputError("is no glTF: it holds no JSON document")
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > limits.json_values:
        raise InputError(f"its JSON has more than {limits.json_values} values")
    try:
        document = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"its JSON is broken ({error})") from error
    _check_version(document)
    folder = ModelFolder.of(path, limits)
    buffers = _buffers(document, binary, path, folder, limits)
    held, named = ("GLB", ".gltf") if is_glb else ("JSON", ".glb")
    notes = (f"holds {held}, but is named {named}",) if swapped else ()
    return GltfDocument(document, buffers, path, folder, limits, notes)


def items(record: Record, key: str) -> list[Any]:
    """Return a list of a document, empty if it is not there."""
    found = record.get(key, [])
    if not isinstance(found, list):
        raise InputError(f"its {key!r} should be a list")
    return found


def item(record: Record, key: str, index: Any) -> Record:
    """Return one object of a list of a document by its index."""
    found = items(record, key)
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(found):
        raise InputError(f"refers to {key} {str(index)[:20]}, but has {len(found)}")
    record = found[index]
    if not isinstance(record, dict):
        raise InputError(f"{key} {index} should be an object")
    return record


def whole(record: Record, key: str, default: int | None = None) -> int:
    """Return a whole number that is not negative."""
    value = record.get(key, default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise InputError(f"{key!r} should be a whole number, got {str(value)[:20]}")
    return value


def numbers(record: Record, key: str, default: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Return a list of numbers as long as its default."""
    value = record.get(key)
    if value is None:
        return np.array(default, float)
    plain = isinstance(value, list) and all(isinstance(v, int | float) for v in value)
    if not plain or len(value) != len(default):
        raise InputError(f"{key!r} should be {len(default)} numbers")
    try:
        return np.array([float(v) for v in value])
    except OverflowError:
        raise InputError(f"{key!r} holds a number that is too large") from None


def read_accessor(document: GltfDocument, index: Any, most: int) -> Array:
    """Return an accessor, (count, width); normalised integers as floats.

    Raises:
        InputError: More than `most` elements, or data that is not there.
    """
    accessor = item(document.json, "accessors", index)
    count = whole(accessor, "count")
    if count > most:
        raise InputError(f"accessor {index} has {count} elements, more than the {most} allowed")
    kind, component = accessor.get("type"), accessor.get("componentType")
    if not isinstance(kind, str) or not isinstance(component, int):
        raise InputError(f"accessor {index} is of an unknown type")
    if kind not in _WIDTHS or component not in COMPONENTS:
        raise InputError(f"accessor {index} is of an unknown type")
    dtype, width = np.dtype(COMPONENTS[component]), _WIDTHS[kind]
    sparse = accessor.get("sparse")
    if "bufferView" in accessor:
        offset = whole(accessor, "byteOffset", 0)
        values = _elements(document, accessor["bufferView"], offset, count, dtype, width)
    elif isinstance(sparse, dict):
        values = np.zeros((count, width), dtype)
    else:
        raise InputError(f"accessor {index} has no data")
    if isinstance(sparse, dict):
        values = _with_sparse(document, sparse, values)
    if accessor.get("normalized") is True and dtype.kind in "iu":
        return np.maximum(values / float(np.iinfo(dtype).max), -1.0)
    return values


def view_bytes(document: GltfDocument, index: Any) -> memoryview:
    """Return the bytes of a buffer view."""
    view = item(document.json, "bufferViews", index)
    number = whole(view, "buffer")
    if number >= len(document.buffers):
        raise InputError(f"buffer view {index} is in buffer {number}, which is not there")
    start, length = whole(view, "byteOffset", 0), whole(view, "byteLength")
    have = len(document.buffers[number])
    if start + length > have:
        raise InputError(f"buffer view {index} ends at byte {start + length} of {have}: truncated?")
    return memoryview(document.buffers[number])[start : start + length]


def uri_bytes(document: GltfDocument, uri: Any) -> bytes:
    """Return what a URI holds: data in base64, or a file in the model's folder."""
    return _uri_bytes(uri, document.path, document.folder, None)


def compressed(extension: str) -> InputError:
    """Return the error of a file whose geometry is compressed, with its cure."""
    return InputError(
        f"needs {extension}; save it without compression, e.g. by 'gltf-transform copy' or Blender"
    )


def _check_version(document: Any) -> None:
    if not isinstance(document, dict):
        raise InputError("is no glTF: its JSON is no object")
    asset = document.get("asset")
    version = str(asset.get("version", "2.0")) if isinstance(asset, dict) else "2.0"
    if not version.startswith("2"):
        raise InputError(f"is glTF {version[:10]}; only 2.0 is read")
    for extension in items(document, "extensionsRequired"):
        if extension in _COMPRESSED:
            raise compressed(str(extension))
        if extension not in _GEOMETRY_KNOWN and not str(extension).startswith(_LOOKS):
            raise InputError(f"needs the extension {str(extension)[:60]}, which is not read")


def _buffers(
    document: Record, binary: bytes | None, path: Path, folder: ModelFolder, limits: LoadLimits
) -> tuple[bytes, ...]:
    count = len(items(document, "buffers"))
    records = [item(document, "buffers", i) for i in range(count)]
    total = sum(whole(record, "byteLength") for record in records)
    if total > limits.file_bytes:
        raise InputError(f"claims {total} bytes of buffers; at most {limits.file_bytes} are read")
    found = []
    for number, record in enumerate(records):
        want = whole(record, "byteLength")
        if "uri" in record:
            data = _uri_bytes(record["uri"], path, folder, want)
        elif number or binary is None:
            _check_no_fallback(document, number, record)
            raise InputError(f"buffer {number} has neither a URI nor a binary chunk")
        else:
            data = binary
        if len(data) < want:
            raise InputError(f"buffer {number} is truncated: {len(data)} bytes of {want}")
        found.append(data[:want])
    return tuple(found)


def _check_no_fallback(document: Record, number: int, buffer: Record) -> None:
    """Say so if a buffer without bytes only stands for what meshopt compressed."""
    views = [item(document, "bufferViews", i) for i in range(len(items(document, "bufferViews")))]
    records = [buffer, *(view for view in views if view.get("buffer") == number)]
    for record in records:
        for name in _COMPRESSED:
            extensions = record.get("extensions")
            if isinstance(extensions, dict) and name in extensions:
                raise compressed(name)


def _uri_bytes(uri: Any, path: Path, folder: ModelFolder, most: int | None) -> bytes:
    if not isinstance(uri, str):
        raise InputError("has a URI that is no text")
    if not uri.startswith("data:"):
        return folder.read(uri, path, encoded=True, most=most)
    head, comma, payload = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        raise InputError(f"has a data URI without base64: {head[:40]!r}")
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"has a data URI with broken base64 ({error})") from error


def _elements(
    document: GltfDocument, view: Any, offset: int, count: int, dtype: np.dtype[Any], width: int
) -> Array:
    data = view_bytes(document, view)
    size = dtype.itemsize * width
    stride = whole(item(document.json, "bufferViews", view), "byteStride", 0) or size
    end = offset + (count - 1) * stride + size if count else offset
    if stride < size or end > len(data):
        raise InputError(
            f"buffer view {view} has {len(data)} bytes, but {count} elements of it end at {end}"
        )
    step = (stride, dtype.itemsize)
    return np.ndarray((count, width), dtype, data, offset, step).copy()


def _with_sparse(document: GltfDocument, sparse: Record, values: Array) -> Array:
    where, what = sparse.get("indices"), sparse.get("values")
    if not isinstance(where, dict) or not isinstance(what, dict):
        raise InputError("has a sparse accessor without indices or values")
    count = whole(sparse, "count")
    if count > len(values) or where.get("componentType") not in (5121, 5123, 5125):
        raise InputError("has a sparse accessor with more changes than elements")
    dtype = np.dtype(COMPONENTS[where["componentType"]])
    rows = _elements(
        document, where.get("bufferView"), whole(where, "byteOffset", 0), count, dtype, 1
    )[:, 0]
    if count and int(rows.max()) >= len(values):
        raise InputError("has a sparse accessor that changes elements it does not have")
    offset = whole(what, "byteOffset", 0)
    changed = values.copy()
    changed[rows] = _elements(
        document, what.get("bufferView"), offset, count, values.dtype, values.shape[1]
    )
    return changed
