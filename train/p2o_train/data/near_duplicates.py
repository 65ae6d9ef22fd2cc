"""Which photographs show the same: near-duplicates and scenes, by perceptual hashes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray, IntArray

SAME_PICTURE_BITS = 8
"""Two pictures are one, resized, recompressed or the next frame, if so many of the 64 bits differ
and their thumbnails are alike."""
SAME_PICTURE_LEVELS = 10.0
"""Largest mean difference of those thumbnails, of 255 levels."""
SAME_SCENE_BITS = 14
"""Likely of one scene; unrelated pictures differ in 32 bits, give or take 4."""

_SIDE, _LOW = 32, 8
_AT_ONCE = 4_000_000
"""Pairs compared at a time: 256 MB."""


@dataclass(frozen=True, eq=False)
class Looks:
    """What n pictures look like from afar.

    Attributes:
        hashes: (n,) uint64: signs of the lowest 64 frequencies, against their median.
        thumbnails: (n, 8, 8, 3) uint8.
    """

    hashes: npt.NDArray[np.uint64]
    thumbnails: ByteArray

    def __len__(self) -> int:
        return len(self.hashes)


def looks_of(paths: Iterable[Path]) -> Looks:
    """Look at pictures.

    Raises:
        InputError: One cannot be read.
    """
    found = [_look(path) for path in paths]
    return Looks(
        np.array([hashed for hashed, _ in found], dtype=np.uint64),
        np.array([thumbnail for _, thumbnail in found], dtype=np.uint8).reshape(-1, 8, 8, 3),
    )


def same_scene(looks: Looks, known: Sequence[str]) -> IntArray:
    """Number the scenes of n pictures, (n,): alike from afar, or of one known name.

    Args:
        looks: Of the pictures.
        known: Name of each picture's scene, as far as its maker says; "" where nothing is known.
    """
    parent = np.arange(len(looks))
    first: dict[str, int] = {}
    for index, name in enumerate(known):
        if name:
            _join(parent, first.setdefault(name, index), index)
    for i, j in _close_pairs(looks, looks, SAME_SCENE_BITS):
        _join(parent, i, j)
    return np.array([_root(parent, index) for index in range(len(looks))], dtype=np.int64)


def repeats(looks: Looks, preferred: Sequence[float]) -> IntArray:
    """Return for each of n pictures the one that stands for it, (n,): itself, if it is kept.

    Args:
        looks: Of the pictures.
        preferred: Of pictures that are the same the one with the largest number is kept, (n,).
    """
    result = np.arange(len(looks))
    alike: dict[int, list[int]] = {}
    for i, j in _same_pairs(looks, looks):
        alike.setdefault(i, []).append(j)
        alike.setdefault(j, []).append(i)
    kept: set[int] = set()
    for index in sorted(alike, key=lambda each: (-preferred[each], each)):
        stands = [other for other in alike[index] if other in kept]
        if stands:
            result[index] = min(stands)
        else:
            kept.add(index)
    return result


def found_in(looks: Looks, others: Looks) -> npt.NDArray[np.bool_]:
    """Return which of n pictures are the same as one of others, (n,)."""
    result = np.zeros(len(looks), dtype=bool)
    for i, _ in _same_pairs(looks, others):
        result[i] = True
    return result


def _look(path: Path) -> tuple[int, ByteArray]:
    from PIL import Image, ImageOps
    from scipy.fft import dctn

    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (4 * _SIDE, 4 * _SIDE))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
            small = upright.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a picture that can be read ({error})") from error
    grey = np.asarray(small.convert("L"), dtype=float)
    spectrum: Any = dctn(grey, norm="ortho")
    low: FloatArray = np.asarray(spectrum)[:_LOW, :_LOW].reshape(-1)
    # The mean brightness says nothing of what is seen.
    bits = low > np.median(low[1:])
    bits[0] = False
    hashed = int("".join("1" if bit else "0" for bit in bits), 2)
    return hashed, np.asarray(small.resize((8, 8), Image.Resampling.BOX))


def _same_pairs(looks: Looks, others: Looks) -> Iterable[tuple[int, int]]:
    for i, j in _close_pairs(looks, others, SAME_PICTURE_BITS):
        differ = np.abs(looks.thumbnails[i].astype(int) - others.thumbnails[j]).mean()
        if differ <= SAME_PICTURE_LEVELS:
            yield i, j


def _close_pairs(looks: Looks, others: Looks, bits: int) -> Iterable[tuple[int, int]]:
    """Yield the pairs whose hashes differ in few bits; within one set, each once."""
    rows_each = max(1, _AT_ONCE // max(len(others), 1))
    for start in range(0, len(looks), rows_each):
        differ = looks.hashes[start : start + rows_each, None] ^ others.hashes[None]
        count = np.unpackbits(differ.view(np.uint8).reshape(*differ.shape, 8), axis=-1).sum(
            axis=-1, dtype=np.int16
        )
        rows, columns = np.nonzero(count <= bits)
        for row, column in zip((rows + start).tolist(), columns.tolist(), strict=True):
            if looks is not others or row < column:
                yield row, column


def _root(parent: IntArray, index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = int(parent[index])
    return index


def _join(parent: IntArray, first: int, second: int) -> None:
    first, second = _root(parent, first), _root(parent, second)
    parent[max(first, second)] = min(first, second)
