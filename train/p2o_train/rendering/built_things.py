"""Plants, screens, lamps and books, put together from primitives."""

from collections.abc import Callable

import numpy as np

Part = tuple[str, tuple[float, float, float], tuple[float, float, float]]
"""Primitive, sides and the middle of its base from the middle of the whole's base, m."""


def _laptop(rng: np.random.Generator) -> list[Part]:
    width, depth, height = (float(v) for v in rng.uniform((0.29, 0.19, 0.18), (0.39, 0.27, 0.26)))
    thick = float(rng.uniform(0.01, 0.025))
    return [
        ("box", (width, thick, depth), (0.0, 0.0, 0.0)),
        ("box", (width, height, 0.01), (0.0, thick, depth / 2)),
    ]


def _monitor(rng: np.random.Generator) -> list[Part]:
    width, height, thick = (float(v) for v in rng.uniform((0.38, 0.24, 0.02), (0.75, 0.44, 0.08)))
    neck, foot = (float(v) for v in rng.uniform((0.05, 0.15), (0.16, 0.28)))
    return [
        ("box", (foot, 0.015, foot * 0.8), (0.0, 0.0, 0.0)),
        ("box", (0.05, neck + 0.05, 0.03), (0.0, 0.0, 0.02)),
        ("box", (width, height, thick), (0.0, neck, -thick / 2)),
    ]


def _plant(rng: np.random.Generator, scale: float = 1.0) -> list[Part]:
    pot, height, crown = (
        float(v) for v in scale * rng.uniform((0.08, 0.07, 0.12), (0.18, 0.18, 0.3))
    )
    parts: list[Part] = [("cylinder", (pot, height, pot), (0.0, 0.0, 0.0))]
    for _ in range(int(rng.integers(2, 6))):
        side, tall = (float(v) for v in crown * rng.uniform((0.4, 0.5), (0.9, 1.5)))
        x, y, z = (float(v) for v in crown * rng.uniform((-0.35, -0.1, -0.35), (0.35, 0.7, 0.35)))
        name = str(rng.choice(["ball", "cone"]))
        parts.append((name, (side, tall, side), (x, height + y, z)))
    return parts


def _floor_plant(rng: np.random.Generator) -> list[Part]:
    return _plant(rng, float(rng.uniform(1.8, 3.5)))


def _lamp(rng: np.random.Generator, scale: float = 1.0) -> list[Part]:
    foot, height, shade, tall = (
        float(v) for v in scale * rng.uniform((0.08, 0.15, 0.14, 0.1), (0.16, 0.35, 0.3, 0.22))
    )
    name = str(rng.choice(["cone", "cylinder"]))
    return [
        ("cylinder", (foot, 0.02, foot), (0.0, 0.0, 0.0)),
        ("cylinder", (0.02, height, 0.02), (0.0, 0.0, 0.0)),
        (name, (shade, tall, shade), (0.0, height, 0.0)),
    ]


def _floor_lamp(rng: np.random.Generator) -> list[Part]:
    parts = _lamp(rng, float(rng.uniform(1.2, 2.0)))
    rise = float(rng.uniform(0.6, 1.1))
    foot, (pole, sides, base), (shade, wide, top) = parts
    return [
        foot,
        (pole, (sides[0], sides[1] + rise, sides[2]), base),
        (shade, wide, (0.0, top[1] + rise, 0.0)),
    ]


def _books(rng: np.random.Generator) -> list[Part]:
    parts: list[Part] = []
    height = 0.0
    for _ in range(int(rng.integers(2, 6))):
        width, thick, depth = (float(v) for v in rng.uniform((0.12, 0.01, 0.1), (0.24, 0.05, 0.17)))
        parts.append(("box", (width, thick, depth), (float(rng.normal(0, 0.01)), height, 0.0)))
        height += thick
    return parts


Maker = tuple[str, Callable[[np.random.Generator], list[Part]]]

BUILT: dict[str, tuple[Maker, ...]] = {
    "floor": (("plant", _floor_plant), ("lamp", _floor_lamp)),
    "tabletop": (("plant", _plant), ("books", _books)),
    "desk": (
        *(("laptop", _laptop), ("monitor", _monitor)),
        *(("plant", _plant), ("lamp", _lamp), ("books", _books)),
    ),
}
"""Makers of the things of each kind of place, with their keys in `likeness.LOOKS_LIKE`."""
