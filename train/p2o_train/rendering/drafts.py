"""Which objects stand where: layouts with the models behind their objects."""

from dataclasses import dataclass

import numpy as np

from p2o_train.rendering.catalog import Catalog, CatalogModel
from p2o_train.rendering.layout import Arranger, Layout, Standing, draw_viewpoint
from p2o_train.rendering.tabletops import stand_on

OBJECT_COUNT_CHANCES = (0.22, 0.27, 0.25, 0.18, 0.05, 0.03)
MOST_OBJECTS = len(OBJECT_COUNT_CHANCES)
MIXED_CHANCE = 0.07
"""How often furniture and vessels share a scene, all on one plane."""


@dataclass(frozen=True)
class Draft:
    """A layout and the models behind its objects.

    Attributes:
        layout: Where everything stands, metres.
        model_index: (n,), the models behind `layout.objects`.
    """

    layout: Layout
    model_index: tuple[int, ...]

    @property
    def things(self) -> tuple[str, ...]:
        """What stands about without a label, each name once."""
        return tuple(sorted({thing.thing for thing in self.layout.clutter}))


def draw_layout(rng: np.random.Generator, catalog: Catalog, on_tables: float = 0.0) -> Draft:
    """Draw a viewpoint and 1-6 objects, often near each other, and some clutter.

    Args:
        rng: Source of randomness.
        catalog: What there is.
        on_tables: Share of the tables on floors that carry something.
    """
    kind = str(rng.choice(catalog.kinds))
    if len(catalog.kinds) > 1 and rng.random() < MIXED_CHANCE:
        kind = "mixed"
    room_yaw = float(rng.uniform(-np.pi, np.pi))
    count = 1 + int(rng.choice(len(OBJECT_COUNT_CHANCES), p=OBJECT_COUNT_CHANCES))
    while True:
        viewpoint, target = draw_viewpoint(rng, kind)
        arranger = Arranger(rng, viewpoint, target, room_yaw)
        placed = _place_models(rng, arranger, catalog, kind, count)
        if placed:
            break
    clutter = _place_clutter(rng, arranger, catalog, kind)
    if kind == "floor":
        for table in [o.standing for o in placed if catalog.class_of(o.standing.asset) == "table"]:
            if rng.random() < on_tables:
                vessels, things = _laid(rng, arranger, catalog, table)
                placed = (placed + vessels)[:MOST_OBJECTS]
                clutter += things
    objects = tuple(thing.standing for thing in placed)
    layout = Layout(kind, viewpoint, objects, clutter, room_yaw)
    return Draft(layout, tuple(thing.index for thing in placed))


def _place_models(
    rng: np.random.Generator, arranger: Arranger, catalog: Catalog, kind: str, count: int
) -> list[CatalogModel]:
    """Place models one after the other."""
    placed: list[CatalogModel] = []
    for _ in range(count):
        drawn = catalog.draw_model(rng, kind)
        standing = _place_model(rng, arranger, catalog, drawn, placed)
        if standing is not None:
            placed.append(CatalogModel(drawn.index, standing))
    return placed


def _place_model(
    rng: np.random.Generator, arranger: Arranger, catalog: Catalog, drawn: CatalogModel,
    placed: list[CatalogModel],
) -> Standing | None:  # fmt: skip
    tables = [o.standing for o in placed if catalog.class_of(o.standing.asset) == "table"]
    if tables and catalog.class_of(drawn.standing.asset) == "chair" and rng.random() < 0.6:
        return arranger.tuck(drawn.standing, tables[int(rng.integers(len(tables)))])
    margin = 0.06 if not placed else -0.03
    return arranger.place(drawn.standing, margin, aligned=0.4)


def _laid(
    rng: np.random.Generator, arranger: Arranger, catalog: Catalog, table: Standing
) -> tuple[list[CatalogModel], tuple[Standing, ...]]:
    """Lay a table with up to two vessels and up to six things of no class."""
    mesh, taken = catalog.mesh(table.asset), list[Standing]()
    vessels, things = list[CatalogModel](), list[Standing]()
    for _ in range(int(rng.choice(7, p=[0.08, 0.14, 0.2, 0.2, 0.16, 0.12, 0.1]))):
        drawn = catalog.clutter.draw(rng, "desk")
        if drawn is None:
            continue
        place = stand_on(rng, table, mesh, drawn.hull, taken, aligned=0.7)
        if place is not None:
            taken.append(place)
            things += drawn.at(place)
    wanted = int(rng.choice(3, p=[0.5, 0.3, 0.2])) if "tabletop" in catalog.kinds else 0
    for _ in range(wanted):
        model = catalog.draw_model(rng, "tabletop")
        standing = stand_on(rng, table, mesh, model.standing, taken)
        if standing is not None and arranger.sees(standing):
            taken.append(standing)
            vessels.append(CatalogModel(model.index, standing))
    return vessels, tuple(things)


def _place_clutter(
    rng: np.random.Generator, arranger: Arranger, catalog: Catalog, kind: str
) -> tuple[Standing, ...]:
    clutter: tuple[Standing, ...] = ()
    small = kind if kind != "mixed" else str(rng.choice(["floor", "tabletop"]))
    for _ in range(int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1]))):
        drawn = catalog.clutter.draw(rng, small)
        if drawn is None:
            continue
        place = arranger.place(drawn.hull, margin=-0.15, aligned=0.5)
        if place is not None:
            clutter += drawn.at(place)
    return clutter
