"""Read the elements of a PLY file, text or binary, their numbers checked against the bytes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from p2o_shapedb.cad.model_folder import LoadLimits
from p2o_shapedb.cad.text_file import decode_text, to_floats
from points2objects.errors import InputError
from points2objects.geometry import IntArray

Array = npt.NDArray[Any]

_HEADER_BYTES = 65536
_MOST_PLACES = 40_000_000
_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
    "int64": "i8",
    "uint64": "u8",
}


@dataclass(frozen=True)
class Property:
    """A property of an element.

    Attributes:
        name: Its name.
        kind: NumPy's name of its type, without the order of bytes.
        length: Likewise of the length, if it is a list; otherwise empty.
    """

    name: str
    kind: str
    length: str = ""


@dataclass(frozen=True)
class Element:
    """What the header says of an element.

    Attributes:
        name: Its name.
        count: How many there are.
        properties: What each has.
    """

    name: str
    count: int
    properties: tuple[Property, ...]

    def least_bytes(self, is_text: bool) -> int:
        """Return how many bytes all of it takes if its lists are empty."""
        if is_text:  # a digit and a space each
            return 2 * self.count * len(self.properties)
        return self.count * sum(int((p.length or p.kind)[1]) for p in self.properties)


@dataclass(frozen=True)
class Header:
    """The header of a PLY file.

    Attributes:
        order: "<" or ">" for binary files, empty for text.
        elements: In the order of the file.
        texture: File of the picture that a comment names (MeshLab), or empty.
        end: Where the header ends.
    """

    order: str
    elements: tuple[Element, ...]
    texture: str
    end: int


@dataclass(frozen=True)
class Lists:
    """A list for each of some elements.

    Attributes:
        values: The lists one after the other.
        counts: Their lengths.
    """

    values: Array
    counts: IntArray


@dataclass(frozen=True)
class Columns:
    """The properties of one element by name.

    Attributes:
        numbers: Single values, (n,) each.
        lists: Lists.
    """

    numbers: Mapping[str, Array] = field(default_factory=dict)
    lists: Mapping[str, Lists] = field(default_factory=dict)


def read_header(data: bytes, limits: LoadLimits) -> Header:
    """Read the header of a PLY file.

    Raises:
        InputError: No PLY file, or one that claims more than is read or is there.
    """
    mark = re.compile(rb"[\r\n]end_header[ \t]*(\r\n|\n|\r)").search(data, 0, _HEADER_BYTES)
    if not data.startswith(b"ply") or mark is None:
        raise InputError("is no PLY file: it has no header")
    order, texture = None, ""
    elements: list[Element] = []
    for line in re.split(r"\r\n|\n|\r", data[: mark.start() + 1].decode("latin-1")):
        words = line.split()
        if not words or words[0] in ("ply", "obj_info"):
            continue
        if words[0] == "comment":
            if len(words) > 2 and words[1].lower() == "texturefile":
                texture = texture or line.split(None, 2)[2].strip(" \t")
        elif words[0] == "format" and len(words) > 1:
            orders = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
            order = orders.get(words[1])
        elif words[0] == "element" and len(words) == 3 and words[2].isdecimal():
            if any(words[1] == element.name for element in elements):
                raise InputError(f"its header has two elements {words[1][:20]!r}")
            elements.append(Element(words[1], int(words[2][:18]), ()))
        elif words[0] == "property" and elements:
            last = elements.pop()
            more = _property(line, words)
            elements.append(Element(last.name, last.count, (*last.properties, more)))
        else:
            raise InputError(f"its header is broken at {line[:40]!r}")
    if order is None:
        raise InputError("its header names no format that is known")
    header = Header(order, tuple(elements), texture, mark.end())
    _check_claims(header, len(data), limits)
    return header


def _property(line: str, words: Sequence[str]) -> Property:
    known = all(word in _TYPES for word in words[2:4]) if words[1] == "list" else words[1] in _TYPES
    if len(words) != (5 if words[1] == "list" else 3) or not known:
        raise InputError(f"its header is broken at {line[:40]!r}")
    if words[1] == "list":
        return Property(words[4], _TYPES[words[3]], _TYPES[words[2]])
    return Property(words[2], _TYPES[words[1]])


def _check_claims(header: Header, size: int, limits: LoadLimits) -> None:
    counts = {element.name: element.count for element in header.elements}
    vertices, faces = counts.get("vertex", 0), counts.get("face", 0)
    if vertices > 3 * limits.vertices or sum(counts.values()) > 4 * limits.vertices:
        raise InputError(f"claims {sum(counts.values())} elements, more than are read")
    if faces > limits.triangles:
        raise InputError(f"claims {faces} faces; at most {limits.triangles} are read")
    least = sum(element.least_bytes(not header.order) for element in header.elements)
    if least > size - header.end + 1:
        raise InputError(
            f"is truncated: it claims {vertices} vertices and {faces} faces, which take {least} "
            f"bytes, and has {size - header.end}"
        )


def read_elements(data: bytes, header: Header, limits: LoadLimits) -> dict[str, Columns]:
    """Read all elements.

    Raises:
        InputError: Truncated, or no numbers.
    """
    found: dict[str, Columns] = {}
    if header.order:
        place = header.end
        for element in header.elements:
            found[element.name], place = _binary(data, place, element, header.order)
        return found
    words = decode_text(data[header.end :], limits).split()
    start = 0
    for element in header.elements:
        found[element.name], start = _text(words, start, element)
    return found


def _truncated(element: Element) -> InputError:
    return InputError(
        f"is truncated: not all of its {element.count} {element.name[:20]}s are there"
    )


def _binary(data: bytes, place: int, element: Element, order: str) -> tuple[Columns, int]:
    """Read one element; rows whose lists are as long as the first's at one go."""
    lengths: list[int] = []
    at = place
    for prop in element.properties if element.count else ():
        if prop.length:
            kind = np.dtype(order + prop.length)
            if at + kind.itemsize > len(data):
                raise _truncated(element)
            lengths.append(int(np.frombuffer(data, kind, 1, at)[0]))
            if not 0 <= lengths[-1] <= len(data):
                raise _truncated(element)
            at += kind.itemsize + lengths[-1] * int(prop.kind[1])
        else:
            at += int(prop.kind[1])
    if place + element.count * (at - place) <= len(data):
        table = np.frombuffer(data, _row_type(element, order, lengths), element.count, place)
        lists = [i for i, prop in enumerate(element.properties) if prop.length]
        if all((table[f"p{i}n"] == n).all() for i, n in zip(lists, lengths, strict=True)):
            return _columns(table, element), place + element.count * (at - place)
    if not lengths:
        raise _truncated(element)
    return _binary_rows(data, place, element, order)


def _row_type(element: Element, order: str, lengths: Sequence[int]) -> np.dtype[Any]:
    fields: list[Any] = []
    left = iter(lengths)
    for i, prop in enumerate(element.properties):
        if prop.length:
            fields.append((f"p{i}n", order + prop.length))
            fields.append((f"p{i}", order + prop.kind, (next(left, 0),)))
        else:
            fields.append((f"p{i}", order + prop.kind))
    return np.dtype(fields)


def _columns(table: Array, element: Element) -> Columns:
    numbers: dict[str, Array] = {}
    lists: dict[str, Lists] = {}
    for i, prop in enumerate(element.properties):
        values = table[f"p{i}"]
        if prop.length:
            counts = np.full(element.count, values.shape[1] if values.ndim > 1 else 0, np.int64)
            lists[prop.name] = Lists(values.reshape(-1), counts)
        else:
            numbers[prop.name] = values
    return Columns(numbers, lists)


def _binary_rows(data: bytes, place: int, element: Element, order: str) -> tuple[Columns, int]:
    """Read rows whose lists differ in length, one after the other."""
    count, properties = element.count, element.properties
    if count * len(properties) > _MOST_PLACES:
        raise InputError(f"has too many properties for {count} {element.name[:20]}s")
    starts = np.zeros((len(properties), count), np.int64)
    lengths = np.ones((len(properties), count), np.int64)
    endian = "little" if order == "<" else "big"
    plan = [(int(p.length[1]) if p.length else 0, p.length[:1] == "i", int(p.kind[1]))
            for p in properties]  # fmt: skip
    for number in range(count):
        for i, (head, signed, size) in enumerate(plan):
            length = 1
            if head:
                length = int.from_bytes(data[place : place + head], endian, signed=signed)  # type: ignore[arg-type]
                place += head
            starts[i, number], lengths[i, number] = place, length
            place += length * size
            if length < 0 or place > len(data):
                raise _truncated(element)
    whole = np.frombuffer(data, np.uint8)
    numbers: dict[str, Array] = {}
    lists: dict[str, Lists] = {}
    for i, (prop, (head, _, size)) in enumerate(zip(properties, plan, strict=True)):
        span = lengths[i] * size
        shift = np.repeat(starts[i] - (np.cumsum(span) - span), span)
        values = whole[np.arange(int(span.sum())) + shift].view(order + prop.kind)
        if head:
            lists[prop.name] = Lists(values, lengths[i])
        else:
            numbers[prop.name] = values
    return Columns(numbers, lists), place


def _text(words: Sequence[str], start: int, element: Element) -> tuple[Columns, int]:
    properties, count = element.properties, element.count
    if not any(prop.length for prop in properties):
        end = start + count * len(properties)
        values = to_floats(words[start:end], f"a {element.name[:20]}")
        if len(values) < count * len(properties):
            raise _truncated(element)
        table = values.reshape(count, len(properties))
        return Columns({prop.name: table[:, i] for i, prop in enumerate(properties)}), end
    flat: list[list[str]] = [[] for _ in properties]
    counts: list[list[int]] = [[] for _ in properties]
    for _ in range(count):
        for i, prop in enumerate(properties):
            length = 1
            if prop.length:
                length = int(_one(words, start, element))
                start += 1
                if not 0 <= length <= len(words) - start:
                    raise _truncated(element)
            flat[i] += words[start : start + length]
            counts[i].append(length)
            start += length
    if start > len(words):
        raise _truncated(element)
    arrays = [to_floats(column, f"a {element.name[:20]}") for column in flat]
    named = list(zip(properties, arrays, counts, strict=True))
    lists = {p.name: Lists(v, np.array(n, np.int64)) for p, v, n in named if p.length}
    return Columns({p.name: v for p, v, _ in named if not p.length}, lists), start


def _one(words: Sequence[str], place: int, element: Element) -> float:
    value = to_floats(words[place : place + 1], f"a {element.name[:20]}")
    if not len(value) or not np.isfinite(value).all():
        raise _truncated(element)
    return float(value[0])
