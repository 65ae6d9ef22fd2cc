"""Tell models whose size cannot be meant from the others of their class."""

import numpy as np
import numpy.typing as npt

from points2objects.geometry import FloatArray

FAR = 3.0
"""A model this many times larger or smaller than is usual in its class has a wrong unit: the
largest tables and sofas of our collections stay below."""

_FEW = 3


def usual_size(diagonals: FloatArray, known: float | None = None) -> float:
    """Return the diagonal that is usual among some models of a class, m.

    Args:
        diagonals: Of their boxes, m, (n,), n over 0.
        known: What is usual in the class, m; it counts where there are too few models to tell.
    """
    return known if known and len(diagonals) < _FEW else float(np.median(diagonals))


def has_usual_size(diagonals: FloatArray, usual: float) -> npt.NDArray[np.bool_]:
    """Tell which diagonals, (n,), are within a factor of `FAR` of the usual one, (n,)."""
    ratio = np.asarray(diagonals, float) / usual
    return np.asarray((ratio <= FAR) & (ratio >= 1 / FAR))


def size_warning(diagonal: float, usual: float) -> str:
    """Return one phrase about a model whose size is far from what is usual, else nothing."""
    if has_usual_size(np.array([diagonal]), usual).all():
        return ""
    ratio = diagonal / usual
    times = f"{ratio:.3g} times" if ratio > 1 else f"1/{1 / ratio:.3g} of"
    return (
        f"its diagonal is {diagonal:.3g} m, {times} what is usual in its class, {usual:.3g} m; is "
        "its unit right? (--unit-m, or unit_m in --overrides)"
    )
