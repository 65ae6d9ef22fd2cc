"""Colours of the procedural models, by material."""

import colorsys

import numpy as np

from p2o_shapedb.procedural.parts import Color

_FIXED: dict[str, tuple[Color, ...]] = {
    "wood": (
        (92, 58, 36), (120, 78, 46), (150, 104, 62), (181, 138, 90), (205, 170, 125),
        (222, 196, 156), (70, 44, 30), (48, 36, 30), (236, 230, 220), (168, 112, 78),
    ),
    "metal": ((30, 30, 32), (70, 72, 76), (150, 152, 156), (190, 192, 196), (120, 100, 70)),
    "neutral": (
        (245, 244, 240), (228, 222, 212), (190, 186, 180), (128, 126, 124), (76, 76, 80),
        (36, 36, 40), (206, 192, 170), (150, 132, 112),
    ),
    "leather": ((66, 40, 28), (104, 62, 38), (150, 96, 58), (32, 28, 28), (186, 150, 116)),
    "glass": ((26, 54, 34), (40, 78, 48), (84, 52, 22), (196, 214, 214), (168, 200, 216)),
}  # fmt: skip


def pick(rng: np.random.Generator, *materials: str) -> Color:
    """Draw a colour of one of the materials, with a little jitter.

    Args:
        rng: Source of randomness.
        *materials: "wood", "metal", "neutral", "leather", "glass" or "vivid" (any hue).
    """
    material = str(rng.choice(materials))
    if material == "vivid":
        color = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(0.3, 0.95), rng.uniform(0.3, 0.95))
        return _byte(np.asarray(color) * 255)
    shades = _FIXED[material]
    return _byte(np.asarray(shades[rng.integers(len(shades))]) * rng.uniform(0.88, 1.1, 3))


def shade(color: Color, factor: float) -> Color:
    """Return a colour made darker (below 1) or lighter (above 1)."""
    return _byte(np.asarray(color) * factor)


def _byte(color: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Color:
    r, g, b = (int(v) for v in np.clip(np.round(color), 0, 255))
    return r, g, b
