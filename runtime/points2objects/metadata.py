"""Read named metadata out of a .tflite file without a flatbuffers library."""

import struct

from points2objects.errors import BundleError

SPEC_METADATA = "points2objects_spec"
"""Name under which a converted model carries its spec."""

# Field numbers in the TFLite schema (tables Model, Metadata, Buffer).
_MODEL_BUFFERS, _MODEL_METADATA = 4, 6
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_BUFFER_DATA = 0


def read_metadata(model: bytes, name: str) -> bytes | None:
    """Return the metadata buffer of that name, or None when the model has none.

    Raises:
        BundleError: The bytes are not a whole TFLite model.
    """
    if model[4:8] != b"TFL3":
        raise BundleError("model.tflite: not a TFLite model; convert the checkpoint again")
    try:
        root = _follow(model, 0)
        for entry in _tables(model, root, _MODEL_METADATA):
            if _bytes(model, entry, _METADATA_NAME) == name.encode():
                field = _field(model, entry, _METADATA_BUFFER)
                index = struct.unpack_from("<I", model, field)[0] if field else 0
                return _bytes(model, _tables(model, root, _MODEL_BUFFERS)[index], _BUFFER_DATA)
    except (struct.error, IndexError) as error:
        raise BundleError("model.tflite: truncated; copy or convert it again") from error
    return None


def _follow(data: bytes, position: int) -> int:
    """Return where the unsigned offset at a position points."""
    return int(position + struct.unpack_from("<I", data, position)[0])


def _field(data: bytes, table: int, number: int) -> int:
    """Return where a table holds a field, or 0 when it leaves the field out."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if vtable < 0:
        raise IndexError("offset before the file's start")
    size = struct.unpack_from("<H", data, vtable)[0]
    slot = 4 + 2 * number
    offset = struct.unpack_from("<H", data, vtable + slot)[0] if slot < size else 0
    return int(table + offset) if offset else 0


def _tables(data: bytes, table: int, number: int) -> list[int]:
    field = _field(data, table, number)
    if not field:
        return []
    vector = _follow(data, field)
    count = struct.unpack_from("<I", data, vector)[0]
    if vector + 4 + 4 * count > len(data):
        raise IndexError("vector past the file's end")
    return [_follow(data, vector + 4 + 4 * item) for item in range(count)]


def _bytes(data: bytes, table: int, number: int) -> bytes:
    """Return a string's or byte vector's contents; empty when it is left out."""
    field = _field(data, table, number)
    if not field:
        return b""
    start = _follow(data, field)
    size = struct.unpack_from("<I", data, start)[0]
    if start + 4 + size > len(data):
        raise IndexError("bytes past the file's end")
    return data[start + 4 : start + 4 + size]
