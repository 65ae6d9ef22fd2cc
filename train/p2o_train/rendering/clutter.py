"""What stands about and belongs to no class: CAD of other things, primitives, built things."""

import logging
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from p2o_shapedb.cad.meshes import clean, find_cad, load_mesh
from p2o_shapedb.canonical import Canonical, canonicalise
from p2o_train.rendering.built_things import BUILT, Part
from p2o_train.rendering.layout import Standing, jittered_extent, set_on
from p2o_train.rendering.likeness import names, resembles
from points2objects.files import sha256

log = logging.getLogger(__name__)

# Cups and vases look like mugs and bottles, benches like sofas: unlabelled, they would confuse.
CAD_FOLDERS = {
    "floor": ("lamp", "cabinet", "display", "loudspeaker"),
    "tabletop": ("telephone", "display", "car", "loudspeaker", "cabinet"),
    "desk": ("display", "telephone", "loudspeaker", "lamp"),
}
_CAD_CHANCE = 0.45
_LONGEST_M = {"tabletop": (0.12, 0.35), "desk": (0.25, 0.7)}
"""CAD that is longer than the latter is shrunk to a length between both."""


@dataclass(frozen=True)
class Solid:
    """A primitive to draw: its name, what it looks like, smallest and largest sides in metres."""

    primitive: str
    name: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]


SOLIDS = {
    "floor": (
        Solid("box", "floor box", (0.2, 0.15, 0.2), (1.0, 1.6, 0.6)),
        Solid("cylinder", "floor cylinder", (0.25, 0.2, 0.25), (0.4, 0.5, 0.4)),
        Solid("box", "post", (0.05, 1.0, 0.05), (0.15, 1.9, 0.15)),
        Solid("ball", "floor ball", (0.2, 0.2, 0.2), (0.5, 0.5, 0.5)),
    ),
    "tabletop": (
        Solid("box", "flat box", (0.1, 0.01, 0.08), (0.3, 0.06, 0.22)),
        Solid("box", "box", (0.05, 0.05, 0.05), (0.25, 0.3, 0.2)),
        Solid("ball", "ball", (0.05, 0.05, 0.05), (0.1, 0.1, 0.1)),
        Solid("box", "stick", (0.1, 0.002, 0.01), (0.25, 0.012, 0.03)),
        Solid("cylinder", "disc", (0.15, 0.005, 0.15), (0.28, 0.012, 0.28)),
        Solid("cone", "cone", (0.06, 0.05, 0.06), (0.15, 0.2, 0.15)),
    ),
    "desk": (
        Solid("box", "sheet", (0.2, 0.002, 0.15), (0.45, 0.01, 0.32)),
        Solid("box", "desk box", (0.12, 0.01, 0.1), (0.3, 0.16, 0.24)),
        Solid("box", "keyboard", (0.3, 0.015, 0.1), (0.46, 0.035, 0.16)),
        Solid("box", "desk box", (0.1, 0.08, 0.1), (0.45, 0.4, 0.35)),
        Solid("cylinder", "disc", (0.16, 0.005, 0.16), (0.3, 0.012, 0.3)),
    ),
}


@dataclass(frozen=True)
class Thing:
    """Something of no class.

    Attributes:
        name: What it is, a key of `likeness.LOOKS_LIKE`.
        hull: What has to find a place; its pose is of no account.
        parts: What is drawn, in the hull's axes; none: the hull itself.
    """

    name: str
    hull: Standing
    parts: tuple[Part, ...] = ()

    def at(self, place: Standing) -> tuple[Standing, ...]:
        """Return what is drawn when the hull has found its place."""
        if not self.parts:
            return (replace(place, thing=self.name),)
        return tuple(
            set_on(place, Standing(asset, np.array(extent), thing=self.name), np.array(base))
            for asset, extent, base in self.parts
        )


@dataclass(frozen=True)
class Labelled:
    """What a database labels, so that none of it may stand about without a label.

    Attributes:
        classes: Names of its classes.
        digests: SHA-256 of the CAD files of its models, of all splits.
    """

    classes: tuple[str, ...] = ()
    digests: frozenset[str] = frozenset()


class Clutter:
    """Draws things of no class.

    Args:
        assets: Folder whose `cad` has models of other classes, if there is one.
        labelled: What they must neither be nor resemble.
    """

    def __init__(self, assets: Path | None, labelled: Labelled) -> None:
        def free(name: str) -> bool:
            return not resembles(name, labelled.classes)

        self._cad = _cad_files(assets, labelled)
        self._built = {
            kind: [(name, build) for name, build in makers if free(name)]
            for kind, makers in BUILT.items()
        }
        self._solids = {
            kind: [solid for solid in solids if free(solid.name)] for kind, solids in SOLIDS.items()
        }
        self.hangings = free("hanging")
        """Whether pictures and windows may hang on walls."""

    def draw(self, rng: np.random.Generator, kind: str) -> Thing | None:
        """Draw a thing to stand on a "floor", on a "tabletop" seen from near, or on a "desk".

        Returns:
            The thing, or None where everything resembles a class.
        """
        cad, built, solids = self._cad.get(kind, []), self._built[kind], self._solids[kind]
        if cad and (rng.random() < _CAD_CHANCE or not (built or solids)):
            return _draw_cad(rng, cad, kind)
        if not (built or solids):
            return None
        number = int(rng.integers(len(built) + len(solids)))
        if number < len(built):
            name, build = built[number]
            return _thing(name, build(rng))
        return _draw_solid(rng, solids[number - len(built)])


@lru_cache(maxsize=256)
def read_cad(path: str) -> Canonical:
    """Read a CAD file by its path."""
    return canonicalise(clean(load_mesh(Path(path)), Path(path).name), turn_deg=0.0)


@dataclass(frozen=True)
class _CadThings:
    """CAD files of one class that no database in use labels."""

    name: str
    paths: tuple[str, ...]


def _draw_cad(rng: np.random.Generator, cad: list[_CadThings], kind: str) -> Thing:
    things = cad[int(rng.integers(len(cad)))]
    path = things.paths[int(rng.integers(len(things.paths)))]
    natural = read_cad(path).extent_m
    low, high = _LONGEST_M.get(kind, (np.inf, np.inf))
    if natural.max() > high:
        natural = natural * (rng.uniform(low, high) / natural.max())
    extent = jittered_extent(rng, natural, round_shape=False)
    return Thing(things.name, Standing(f"cad:{path}", extent))


def _draw_solid(rng: np.random.Generator, solid: Solid) -> Thing:
    extent = rng.uniform(solid.low, solid.high)
    if solid.primitive != "box":
        extent[2] = extent[0]
    if solid.primitive == "ball":
        extent[1] = extent[0]
    return Thing(solid.name, Standing(solid.primitive, extent))


def _cad_files(assets: Path | None, labelled: Labelled) -> dict[str, list[_CadThings]]:
    """List the CAD files of each kind of clutter by class."""
    root = assets / "cad" if assets else None
    if root is None or not root.is_dir():
        return {}
    names = sorted({name for names in CAD_FOLDERS.values() for name in names})
    files = {name: _free_files(root, name, labelled) for name in names if (root / name).is_dir()}
    return {
        kind: [_CadThings(name, files[name]) for name in names if files.get(name)]
        for kind, names in CAD_FOLDERS.items()
    }


def _free_files(root: Path, name: str, labelled: Labelled) -> tuple[str, ...]:
    """List the files of a folder that may stand about without a label."""
    if resembles(name, labelled.classes):
        return ()
    paths = [file.path for file in find_cad(root, (name,))]
    # One model of a class makes the folder's others look like that class, whatever its name is.
    if labelled.digests and any(sha256(path.read_bytes()) in labelled.digests for path in paths):
        log.info("%s: is not drawn as clutter: models of the database come from it", root / name)
        return ()
    return tuple(
        str(path)
        for path in paths
        if not any(names(class_name, path.stem) for class_name in labelled.classes)
    )


def _thing(name: str, parts: list[Part]) -> Thing:
    """Put a hull around parts that stand around its middle."""
    half = np.max([np.abs(base) + np.array(extent) / 2 for _, extent, base in parts], 0)
    top = max(base[1] + extent[1] for _, extent, base in parts)
    hull = Standing("box", np.array([2 * half[0], top, 2 * half[2]]))
    return Thing(name, hull, tuple(parts))
