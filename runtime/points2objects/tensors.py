"""Output maps of the network, float or quantised, read only where they are needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from points2objects.errors import check_shape
from points2objects.geometry import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class OutputMap:
    """One output tensor: `real = scale * (values - zero_point)`.

    Attributes:
        values: (h, w, c), float32 or int8/uint8.
        scale: Step of the quantisation; 1 for float maps.
        zero_point: Value that stands for 0; 0 for float maps.
    """

    values: npt.NDArray[np.generic]
    scale: float = 1.0
    zero_point: int = 0

    def __post_init__(self) -> None:
        check_shape("output map", self.values, "h w c")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, channels."""
        height, width, channels = self.values.shape
        return height, width, channels

    def gather(self, rows: IntArray, columns: IntArray) -> FloatArray:
        """Return real values, (..., c) float32, of cells given by arrays of one shape.

        Dequantising a whole 300-channel map costs more than the rest of the decoder, so nothing
        reads one.
        """
        picked = self.values[rows, columns].astype(np.float32)
        return np.asarray((picked - np.float32(self.zero_point)) * np.float32(self.scale))

    def real(self) -> FloatArray:
        """Return the whole map, (h, w, c) float32."""
        return np.asarray((self.values.astype(np.float32) - self.zero_point) * self.scale)

    def patches(self, rows: IntArray, columns: IntArray) -> FloatArray:
        """Return real values around cells, (..., 9, c) float32; beyond the edge 0, as padded.

        The nine cells of a 3x3 neighbourhood come in row-major order.
        """
        height, width, _ = self.shape
        d_row, d_column = np.divmod(np.arange(9), 3)
        rows, columns = rows[..., None] + d_row - 1, columns[..., None] + d_column - 1
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        picked = self.gather(np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1))
        picked[~inside] = 0.0
        return picked


class CellMap(Protocol):
    """An output that can be read at cells: made by the network, or where it is read."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, channels."""
        ...

    def gather(self, rows: IntArray, columns: IntArray) -> FloatArray:
        """Return real values, (..., c) float32, of cells given by arrays of one shape."""
        ...

    def real(self) -> FloatArray:
        """Return the whole map, (h, w, c) float32."""
        ...


OutputMaps = Mapping[str, CellMap]
"""One map per name in `ModelSpec.outputs`; the heat-map is always an `OutputMap`."""
