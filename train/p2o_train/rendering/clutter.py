"""What stands about and belongs to no class: CAD of other things, and plants, screens, books."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from p2o_shapedb.cad.meshes import clean, find_cad, load_mesh
from p2o_shapedb.canonical import Canonical, canonicalise
from p2o_train.rendering.layout import Standing, jittered_extent, set_on

# Cups and vases look like mugs and bottles, benches like sofas: unlabelled, they would confuse.
_CAD = {
    "floor": ("lamp", "cabinet", "display", "loudspeaker"),
    "tabletop": ("telephone", "display", "car", "loudspeaker", "cabinet"),
    "desk": ("display", "telephone", "loudspeaker", "lamp"),
}
_CAD_CHANCE = 0.45
_LONGEST_M = {"tabletop": (0.12, 0.35), "desk": (0.25, 0.7)}
"""CAD that is longer than the latter is shrunk to a length between both."""
_SOLIDS = {
    # kind, smallest and largest sides in metres
    "floor": (
        ("box", (0.2, 0.15, 0.2), (1.0, 1.6, 0.6)),
        ("cylinder", (0.25, 0.2, 0.25), (0.4, 0.5, 0.4)),
        ("box", (0.05, 1.0, 0.05), (0.15, 1.9, 0.15)),
        ("ball", (0.2, 0.2, 0.2), (0.5, 0.5, 0.5)),
    ),
    "tabletop": (
        ("box", (0.1, 0.01, 0.08), (0.3, 0.06, 0.22)),
        ("box", (0.05, 0.05, 0.05), (0.25, 0.3, 0.2)),
        ("ball", (0.05, 0.05, 0.05), (0.1, 0.1, 0.1)),
        ("box", (0.1, 0.002, 0.01), (0.25, 0.012, 0.03)),
        ("cylinder", (0.15, 0.005, 0.15), (0.28, 0.012, 0.28)),
        ("cone", (0.06, 0.05, 0.06), (0.15, 0.2, 0.15)),
    ),
    "desk": (
        ("box", (0.2, 0.002, 0.15), (0.45, 0.01, 0.32)),
        ("box", (0.12, 0.01, 0.1), (0.3, 0.16, 0.24)),
        ("box", (0.3, 0.015, 0.1), (0.46, 0.035, 0.16)),
        ("box", (0.1, 0.08, 0.1), (0.45, 0.4, 0.35)),
        ("cylinder", (0.16, 0.005, 0.16), (0.3, 0.012, 0.3)),
    ),
}

Part = tuple[str, tuple[float, float, float], tuple[float, float, float]]
"""Primitive, sides and the middle of its base from the middle of the whole's base, m."""


@dataclass(frozen=True)
class Thing:
    """Something of no class.

    Attributes:
        hull: What has to find a place; its pose is of no account.
        parts: What is drawn, in the hull's axes; none: the hull itself.
    """

    hull: Standing
    parts: tuple[Part, ...] = ()

    def at(self, place: Standing) -> tuple[Standing, ...]:
        """Return what is drawn when the hull has found its place."""
        if not self.parts:
            return (place,)
        return tuple(
            set_on(place, Standing(asset, np.array(extent)), np.array(base))
            for asset, extent, base in self.parts
        )


class Clutter:
    """Draws things of no class.

    Args:
        assets: Folder whose `cad` has models of other classes, if there is one.
    """

    def __init__(self, assets: Path | None) -> None:
        self._cad = _cad_files(assets)

    def draw(self, rng: np.random.Generator, kind: str) -> Thing:
        """Draw a thing to stand on a "floor", on a "tabletop" seen from near, or on a "desk"."""
        cad = self._cad.get(kind, [])
        if cad and rng.random() < _CAD_CHANCE:
            return Thing(_draw_cad(rng, cad, kind))
        built = _BUILT[kind]
        shapes = _SOLIDS[kind]
        number = int(rng.integers(len(built) + len(shapes)))
        if number < len(built):
            return _thing(built[number](rng))
        name, low, high = shapes[number - len(built)]
        extent = rng.uniform(low, high)
        if name != "box":
            extent[2] = extent[0]
        if name == "ball":
            extent[1] = extent[0]
        return Thing(Standing(name, extent))


@lru_cache(maxsize=256)
def read_cad(path: str) -> Canonical:
    """Read a CAD file by its path."""
    return canonicalise(clean(load_mesh(Path(path)), Path(path).name), turn_deg=0.0)


def _draw_cad(rng: np.random.Generator, cad: list[list[str]], kind: str) -> Standing:
    paths = cad[int(rng.integers(len(cad)))]
    path = paths[int(rng.integers(len(paths)))]
    natural = read_cad(path).extent_m
    low, high = _LONGEST_M.get(kind, (np.inf, np.inf))
    if natural.max() > high:
        natural = natural * (rng.uniform(low, high) / natural.max())
    return Standing(f"cad:{path}", jittered_extent(rng, natural, round_shape=False))


def _cad_files(assets: Path | None) -> dict[str, list[list[str]]]:
    """List the CAD files of each kind of clutter by class, as text paths."""
    root = assets / "cad" if assets else None
    if root is None or not root.is_dir():
        return {}
    files: dict[str, list[str]] = {}
    for name in sorted({name for names in _CAD.values() for name in names}):
        if (root / name).is_dir():
            files[name] = [str(file.path) for file in find_cad(root, (name,))]
    return {kind: [files[name] for name in names if name in files] for kind, names in _CAD.items()}


def _thing(parts: list[Part]) -> Thing:
    """Put a hull around parts that stand around its middle."""
    half = np.max([np.abs(base) + np.array(extent) / 2 for _, extent, base in parts], 0)
    top = max(base[1] + extent[1] for _, extent, base in parts)
    return Thing(Standing("box", np.array([2 * half[0], top, 2 * half[2]])), tuple(parts))


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


_BUILT: dict[str, tuple[Callable[[np.random.Generator], list[Part]], ...]] = {
    "floor": (_floor_plant, _floor_lamp),
    "tabletop": (_plant, _books),
    "desk": (_laptop, _monitor, _plant, _lamp, _books),
}
