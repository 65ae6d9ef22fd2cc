"""The container of binary glTF 2.0: a JSON chunk and a binary chunk."""

import struct

from points2objects.errors import InputError

COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
"""NumPy's names of the component types of accessors."""
_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942


def split_chunks(data: bytes) -> tuple[bytes, bytes | None]:
    """Split a GLB into its JSON and its binary chunk; None where there is no binary one.

    Raises:
        InputError: No GLB, another version, or truncated; the message leaves the file to the
            caller to name.
    """
    if len(data) < 20 or struct.unpack_from("<I", data)[0] != _MAGIC:
        raise InputError("is no GLB: its first bytes are wrong")
    _, version, length = struct.unpack_from("<III", data)
    if version != 2:
        raise InputError(f"is GLB version {version}; only 2 is read")
    if length > len(data) + 3:  # some writers count padding that they leave out
        raise InputError(f"is truncated: {len(data)} bytes of {length}")
    length = min(length, len(data))
    chunks: dict[int, bytes] = {}
    start = 12
    while start + 8 <= length and _BIN not in chunks:  # nothing behind it is ours
        size, kind = struct.unpack_from("<II", data, start)
        if start + 8 + size > length:
            raise InputError(f"is truncated: a chunk ends at byte {start + 8 + size} of {length}")
        if kind in (_JSON, _BIN):
            chunks.setdefault(kind, data[start + 8 : start + 8 + size])
        start = _next_chunk(data[:length], start + 8, size)
    return chunks.get(_JSON, b""), chunks.get(_BIN)


def _next_chunk(data: bytes, start: int, size: int) -> int:
    """Return where the chunk behind one of `size` bytes at `start` begins.

    Some writers, Blender 2.80 among them, pad a chunk to four bytes without counting the padding,
    others do not pad: the next one begins where a binary chunk fits.
    """
    padded = start + (size + 3) // 4 * 4
    for place in (padded, start + size):
        if place + 8 <= len(data):
            length, kind = struct.unpack_from("<II", data, place)
            if kind == _BIN and place + 8 + length <= len(data):
                return place
    return padded


def join_chunks(text: bytes, binary: bytes) -> bytes:
    """Return a GLB of a JSON document and the bytes of its buffer; no binary chunk if empty."""
    chunks = [(_JSON, text + b" " * (-len(text) % 4))]
    if binary:
        chunks.append((_BIN, binary + b"\0" * (-len(binary) % 4)))
    body = b"".join(struct.pack("<II", len(part), kind) + part for kind, part in chunks)
    return struct.pack("<III", _MAGIC, 2, 12 + len(body)) + body
