"""Errors a caller can act on, and the shape check that raises them."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt


class Points2ObjectsError(Exception):
    """Base of everything this package raises on purpose; its text is one line for a user."""


class InputError(Points2ObjectsError, ValueError):
    """A value from outside is wrong: an image, a camera, a file, an option."""


class BundleError(Points2ObjectsError):
    """A bundle is missing, incomplete, or made of parts that do not belong together."""


def check_shape(
    name: str, array: npt.NDArray[np.generic], shape: str, sizes: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Check an array against a shape in words and return the sizes it binds.

    Args:
        name: What to call the array in the message.
        array: The array.
        shape: Dimensions separated by spaces: a number, or a letter that stands for one size
            ("n 3"); a leading "..." admits any number of leading dimensions.
        sizes: Letters that are bound already.

    Returns:
        Size of every letter, the given ones included.

    Raises:
        InputError: The number of dimensions or one size differs.
    """
    words = shape.split()
    bound = dict(sizes or {})
    open_front = bool(words) and words[0] == "..."
    words = words[1:] if open_front else words
    tail = array.shape[len(array.shape) - len(words) :]
    if len(tail) != len(words) or (not open_front and array.ndim != len(words)):
        raise InputError(f"{name}: expected shape ({shape}), got {array.shape}")
    for word, size in zip(words, tail, strict=True):
        if bound.setdefault(word, int(word) if word.isdigit() else size) != size:
            raise InputError(f"{name}: expected shape ({shape}), got {array.shape}")
    return bound
