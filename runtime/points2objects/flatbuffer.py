"""Read the tables of a flatbuffer without a library; every offset is checked against the file."""

import struct
from dataclasses import dataclass

MOST_ITEMS = 1_000_000
"""Items of all vectors together, counted once for each reading: tables may share their vectors."""


class Flatbuffer:
    """The bytes of a file, and how much more of it may be read. Raises ValueError on damage."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._left = MOST_ITEMS

    def root(self) -> "Table":
        """Return the table that the file begins with."""
        return Table(self, self.read("<I", 0))

    def read(self, kind: str, position: int) -> int:
        """Return a number, given as `struct` writes it."""
        if position < 0 or position + struct.calcsize(kind) > len(self.data):
            raise ValueError("an offset leads out of the file")
        return int(struct.unpack_from(kind, self.data, position)[0])

    def count(self, items: int) -> None:
        """Count items that are about to be read."""
        self._left -= items
        if self._left < 0:
            raise ValueError(f"more than {MOST_ITEMS} parts")


@dataclass(frozen=True, eq=False)
class Table:
    """A table of a flatbuffer: fields by number, each of which may be left out.

    Attributes:
        file: Where it is.
        position: Where it begins.
    """

    file: Flatbuffer
    position: int

    def number(self, field: int) -> int:
        """Return an unsigned number of four bytes; 0 when it is left out."""
        position = self._field(field)
        return self.file.read("<I", position) if position else 0

    def flag(self, field: int) -> bool:
        """Return a truth value of one byte; False when it is left out."""
        position = self._field(field)
        return bool(position and self.file.read("<B", position))

    def size(self, field: int) -> int:
        """Return how many bytes a string or a vector of bytes has; 0 when it is left out."""
        return self._vector(field, 1)[1]

    def content(self, field: int) -> bytes:
        """Return a string or a vector of bytes; empty when it is left out."""
        start, count = self._vector(field, 1)
        return self.file.data[start : start + count]

    def numbers(self, field: int) -> tuple[int, ...]:
        """Return a vector of signed numbers of four bytes; empty when it is left out."""
        start, count = self._vector(field, 4)
        self.file.count(count)
        return struct.unpack_from(f"<{count}i", self.file.data, start)

    def tables(self, field: int) -> "tuple[Table, ...]":
        """Return a vector of tables; empty when it is left out."""
        start, count = self._vector(field, 4)
        self.file.count(count)
        positions = range(start, start + 4 * count, 4)
        return tuple(Table(self.file, at + self.file.read("<I", at)) for at in positions)

    def _vector(self, field: int, width: int) -> tuple[int, int]:
        """Return where a vector's items begin, and how many it has."""
        position = self._field(field)
        if not position:
            return 0, 0
        start = position + self.file.read("<I", position)
        count = self.file.read("<I", start)
        if start + 4 + width * count > len(self.file.data):
            raise ValueError("a vector reaches beyond the end of the file")
        return start + 4, count

    def _field(self, number: int) -> int:
        """Return where a field lies, or 0 when the table leaves it out."""
        vtable = self.position - self.file.read("<i", self.position)
        slot = 4 + 2 * number
        if slot >= self.file.read("<H", vtable):
            return 0
        offset = self.file.read("<H", vtable + slot)
        return self.position + offset if offset else 0
