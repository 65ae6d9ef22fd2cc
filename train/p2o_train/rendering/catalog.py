"""What can stand in a scene: the models of one split, and clutter that belongs to no class."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from p2o_shapedb.canonical import Canonical, canonicalise
from p2o_shapedb.database import ShapeDB
from p2o_shapedb.meshes import clean, find_cad, load_mesh
from p2o_train.rendering.layout import Standing, jittered_extent
from p2o_train.rendering.meshes import RenderMesh, prepare_mesh, primitive
from points2objects.errors import InputError

FURNITURE_SIZE_M = 0.4
"""Models longer than this stand on floors, smaller ones on table tops."""

# Cups and vases look like mugs and bottles, benches like sofas: unlabelled, they would confuse.
_CAD_CLUTTER = {
    "floor": ("lamp", "cabinet", "display", "loudspeaker"),
    "tabletop": ("telephone", "display", "car", "loudspeaker", "cabinet"),
}
_PRIMITIVES = {
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
}


@dataclass(frozen=True)
class CatalogModel:
    """One model as it is placed in a scene."""

    index: int
    standing: Standing


class Catalog:
    """Draws models and clutter, and keeps their meshes."""

    def __init__(
        self, shapedb: ShapeDB, split: str, assets: Path | None, max_triangles: int
    ) -> None:
        self._db = shapedb
        self._max_triangles = max_triangles
        self._cad = _cad_clutter(assets)
        self._groups: dict[str, dict[str, list[int]]] = {"floor": {}, "tabletop": {}}
        for index, model in enumerate(shapedb.models):
            if model.split == split:
                kind = "floor" if max(model.extent_m) > FURNITURE_SIZE_M else "tabletop"
                self._groups[kind].setdefault(model.class_name, []).append(index)
        self._drop_strays()
        if not any(self._groups.values()):
            raise InputError(
                f"shape database: no model of split {split!r}; build it with --val-share"
            )
        self.mesh = lru_cache(maxsize=1024)(self._load)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of scenes there are models for."""
        return tuple(kind for kind, group in self._groups.items() if group)

    def draw_model(
        self, rng: np.random.Generator, kind: str, class_name: str | None = None
    ) -> CatalogModel:
        """Draw a model: every class of the kind of scene is equally likely.

        Args:
            rng: Source of randomness.
            kind: "floor", "tabletop" or "mixed".
            class_name: The class to take, where the kind of scene has it.
        """
        wanted = self._groups.get(kind, {}).get(class_name or "")
        choices = [wanted] if wanted else self._choices(kind)
        return self._draw_from(rng, choices[int(rng.integers(len(choices)))])

    def draw_distinct(self, rng: np.random.Generator, kind: str, count: int) -> list[CatalogModel]:
        """Draw models of different classes; a class comes again once all have had their turn."""
        choices = self._choices(kind)
        order = [i for _ in range(-(-count // len(choices))) for i in rng.permutation(len(choices))]
        return [self._draw_from(rng, choices[i]) for i in order[:count]]

    def _choices(self, kind: str) -> list[list[int]]:
        """Return the models of each class that belongs to a kind of scene."""
        groups = [group for name, group in self._groups.items() if kind in (name, "mixed")]
        return [models for group in groups for models in group.values()]

    def _draw_from(self, rng: np.random.Generator, models: list[int]) -> CatalogModel:
        index = models[int(rng.integers(len(models)))]
        entry = self._db.models[index]
        extent = jittered_extent(rng, entry.extent_m, entry.symmetry in (0, 4))
        return CatalogModel(index, Standing(f"model:{index}", extent))

    def draw_clutter(self, rng: np.random.Generator, kind: str) -> Standing:
        """Draw something of no class: CAD when there is any, else a simple solid."""
        cad = self._cad.get(kind, [])
        if cad and rng.random() < 0.6:
            paths = cad[int(rng.integers(len(cad)))]
            path = paths[int(rng.integers(len(paths)))]
            natural = _read_cad(path).extent_m
            if kind == "tabletop" and natural.max() > 0.35:
                natural = natural * (rng.uniform(0.12, 0.35) / natural.max())
            return Standing(f"cad:{path}", jittered_extent(rng, natural, round_shape=False))
        shapes = _PRIMITIVES[kind]
        name, low, high = shapes[int(rng.integers(len(shapes)))]
        extent = rng.uniform(low, high)
        if name != "box":
            extent[2] = extent[0]
        if name == "ball":
            extent[1] = extent[0]
        return Standing(name, extent)

    def class_of(self, asset: str) -> str:
        """Return the class of a model's key."""
        return self._db.models[int(asset.split(":")[1])].class_name

    def _drop_strays(self) -> None:
        """Keep each class to the kind of scene that most of its models belong to."""
        floor, tabletop = self._groups["floor"], self._groups["tabletop"]
        for name in set(floor) & set(tabletop):
            larger = floor if len(floor[name]) >= len(tabletop[name]) else tabletop
            larger[name] = sorted(floor[name] + tabletop[name])
            del (tabletop if larger is floor else floor)[name]

    def _load(self, asset: str) -> RenderMesh:
        kind, _, rest = asset.partition(":")
        if kind == "model":
            extent = np.asarray(self._db.models[int(rest)].extent_m)
            return prepare_mesh(self._db.mesh(int(rest)), extent, self._max_triangles)
        if kind == "cad":
            cad = _read_cad(rest)
            return prepare_mesh(cad.mesh, np.asarray(cad.extent_m), self._max_triangles)
        return primitive(kind)


def _cad_clutter(assets: Path | None) -> dict[str, list[list[str]]]:
    """List the CAD files of each kind of clutter by class, as text paths."""
    root = assets / "cad" if assets else None
    if root is None or not root.is_dir():
        return {}
    files: dict[str, list[str]] = {}
    for name in sorted({name for names in _CAD_CLUTTER.values() for name in names}):
        if (root / name).is_dir():
            files[name] = [str(file.path) for file in find_cad(root, (name,))]
    return {
        kind: [files[name] for name in names if name in files]
        for kind, names in _CAD_CLUTTER.items()
    }


@lru_cache(maxsize=256)
def _read_cad(path: str) -> Canonical:
    return canonicalise(clean(load_mesh(Path(path)), Path(path).name), turn_deg=0.0)
