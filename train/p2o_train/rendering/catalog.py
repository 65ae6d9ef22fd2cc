"""What can stand in a scene: the models of one split, and clutter."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from p2o_shapedb.database import ShapeDB
from p2o_train.rendering.clutter import Clutter, Labelled, read_cad
from p2o_train.rendering.layout import Standing, jittered_extent
from p2o_train.rendering.meshes import RenderMesh, prepare_mesh, primitive
from points2objects.errors import InputError

FURNITURE_SIZE_M = 0.4
"""Models longer than this stand on floors, smaller ones on table tops."""


@dataclass(frozen=True)
class CatalogModel:
    """One model as it is placed in a scene."""

    index: int
    standing: Standing


def refuse_empty_splits(shapedb: ShapeDB, splits: Iterable[str]) -> None:
    """Stop before any work where a shape database has no model of a split.

    Raises:
        InputError: A split has none.
    """
    there = {model.split for model in shapedb.models}
    for split in splits:
        if split not in there:
            raise InputError(_no_model_of(split))


def _no_model_of(split: str) -> str:
    return (
        f"shape database: no model of split {split!r}; build it with --val-share and fewer "
        "--exemplars-per-class than models"
    )


class Catalog:
    """Draws models and keeps their meshes and those of the clutter."""

    def __init__(
        self, shapedb: ShapeDB, split: str, assets: Path | None, max_triangles: int
    ) -> None:
        self._db = shapedb
        self._max_triangles = max_triangles
        digests = frozenset(shapedb.source_digests.values())
        self.clutter = Clutter(assets, Labelled(shapedb.classes, digests))
        self._groups: dict[str, dict[str, list[int]]] = {"floor": {}, "tabletop": {}}
        for index, model in enumerate(shapedb.models):
            if model.split == split:
                kind = "floor" if max(model.extent_m) > FURNITURE_SIZE_M else "tabletop"
                self._groups[kind].setdefault(model.class_name, []).append(index)
        self._drop_strays()
        if not any(self._groups.values()):
            raise InputError(_no_model_of(split))
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
            cad = read_cad(rest)
            return prepare_mesh(cad.mesh, np.asarray(cad.extent_m), self._max_triangles)
        return primitive(kind)
