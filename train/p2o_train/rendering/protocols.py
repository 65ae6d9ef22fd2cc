"""Scenes as the paper counts them: pairs and triplets of objects, nothing else in view."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from p2o_train.rendering.catalog import Catalog
from p2o_train.rendering.drafts import Draft, draw_layout
from p2o_train.rendering.layout import Arranger, Layout, Standing, draw_viewpoint

Protocol = Literal["mixed", "pairs", "triplets"]

GROUP_SIZES = {"pairs": 2, "triplets": 3}
_MARGIN = 0.08
"""Share of the picture around its border that stays free of centres."""
_FRAME = (-0.1, 1.1)
"""Shares of the picture's sides between which every corner of a box falls: little is cut off."""
_ATTEMPTS = 2000


@dataclass(frozen=True)
class SceneOptions:
    """Which scenes to draw.

    Attributes:
        protocol: "mixed" for training on anything, "pairs" or "triplets" to compare by.
        on_tables: Share of the mixed protocol's tables that carry something.
    """

    protocol: Protocol = "mixed"
    on_tables: float = 0.6


def draw_scene(rng: np.random.Generator, catalog: Catalog, options: SceneOptions) -> Draft:
    """Draw a layout of a protocol."""
    if options.protocol == "mixed":
        return draw_layout(rng, catalog, options.on_tables)
    return draw_group(rng, catalog, GROUP_SIZES[options.protocol])


def draw_group(rng: np.random.Generator, catalog: Catalog, count: int) -> Draft:
    """Draw so many objects near each other, of different classes as far as there are any.

    CoReNet's ShapeNet-pairs and -triplets, which the paper evaluates on, put models of one
    normalised size side by side: a mug is as large as a sofa. Here the objects of a scene belong
    together, furniture on a floor or vessels on a table, and keep their natural sizes.
    """
    for _ in range(_ATTEMPTS):
        kind = str(rng.choice(catalog.kinds))
        viewpoint, target = draw_viewpoint(rng, kind)
        room_yaw = float(rng.uniform(-np.pi, np.pi))
        arranger = Arranger(rng, viewpoint, target, room_yaw)
        models = catalog.draw_distinct(rng, kind, count)
        placed = [arranger.place(model.standing, _MARGIN, aligned=0.4) for model in models]
        objects = tuple(thing for thing in placed if thing is not None)
        layout = Layout(kind, viewpoint, objects, (), room_yaw)
        if len(objects) == count and all(_in_frame(layout, thing) for thing in objects):
            return Draft(layout, tuple(model.index for model in models))
    raise AssertionError("a group of objects that fits no picture")


def _in_frame(layout: Layout, thing: Standing) -> bool:
    camera = layout.viewpoint.camera(256)
    x, y, depth = camera.project(thing.box().corners()).T
    low, high = 256 * _FRAME[0], 256 * _FRAME[1]
    inside = (x > low) & (x < high) & (y > low) & (y < high)
    return bool(((depth > 0) & inside).all())
