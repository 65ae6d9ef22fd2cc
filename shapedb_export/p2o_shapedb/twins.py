"""Find models that are one shape: the same file twice, or exported in several formats."""

from collections.abc import Sequence

import numpy as np

from p2o_shapedb.cache import Cache
from points2objects.geometry import FloatArray

SAME_SIDES = 2e-3
"""Largest difference between the sides of two boxes of one shape, each box's longest being one."""

SAME_DISTANCE = 4e-3
"""Largest difference between their signed distances, sides of the cube: an eighth of a cell."""

_STEP = 4


def twin_groups(cache: Cache, keys: Sequence[str], extents_m: FloatArray) -> list[int]:
    """Number the groups of models that are one shape, whatever their size, format and triangles.

    Args:
        cache: Where their distances are.
        keys: Their keys.
        extents_m: Sides of their boxes, (n, 3).

    Returns:
        For each model the index of the first of its group.
    """
    groups = list(range(len(keys)))
    if len(keys) < 2:
        return groups
    sides = extents_m / extents_m.max(axis=1, keepdims=True)
    coarse = np.stack([cache.sdf(key)[::_STEP, ::_STEP, ::_STEP].ravel() for key in keys])
    order = np.argsort(sides[:, 0], kind="stable")
    sorted_sides = sides[order, 0]
    for place, first in enumerate(map(int, order)):
        end = int(np.searchsorted(sorted_sides, sorted_sides[place] + SAME_SIDES, side="right"))
        near = order[place + 1 : end]
        near = near[(np.abs(sides[near] - sides[first]) <= SAME_SIDES).all(axis=1)]
        near = near[(np.abs(coarse[near] - coarse[first]) <= SAME_DISTANCE).all(axis=1)]
        for other in map(int, near):
            whole = np.abs(cache.sdf(keys[first]) - cache.sdf(keys[other]))
            if float(whole.max()) <= SAME_DISTANCE:
                _join(groups, first, other)
    return [_root(groups, i) for i in range(len(keys))]


def _root(groups: list[int], index: int) -> int:
    while groups[index] != index:
        index = groups[index]
    return index


def _join(groups: list[int], first: int, second: int) -> None:
    low, high = sorted((_root(groups, first), _root(groups, second)))
    groups[high] = low
