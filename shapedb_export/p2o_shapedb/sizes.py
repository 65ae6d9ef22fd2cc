"""Tell models whose size cannot be meant from the others of their class."""

import numpy as np
import numpy.typing as npt

from points2objects.geometry import FloatArray

FAR = 3.0
"""A model this many times larger or smaller than is usual in its class has a wrong unit: the
largest tables and sofas of our collections stay below."""


def usual_sizes(diagonals: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell which models are within `FAR` of the median of some, (n,).

    Args:
        diagonals: Diagonals of their boxes, m, (n,).
    """
    if not len(diagonals):
        return np.zeros(0, bool)
    ratio = np.asarray(diagonals, float) / float(np.median(diagonals))
    return np.asarray((ratio <= FAR) & (ratio >= 1 / FAR))


def size_warning(diagonal: float, usual: float) -> str:
    """Return one phrase about a model whose size is far from what is usual, else nothing.

    Args:
        diagonal: Of its box, m.
        usual: The median of its class, m.
    """
    ratio = diagonal / usual
    if 1 / FAR <= ratio <= FAR:
        return ""
    times = f"{ratio:.3g} times" if ratio > 1 else f"1/{1 / ratio:.3g} of"
    return (
        f"its diagonal is {diagonal:.3g} m, {times} what is usual in its class, {usual:.3g} m; is "
        "its unit right? (--unit-m, or unit_m in --overrides)"
    )
