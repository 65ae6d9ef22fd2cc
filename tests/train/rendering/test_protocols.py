"""Pairs and triplets: whole objects of different classes, and nothing else."""

import numpy as np
import pytest

from p2o_shapedb.database import ShapeDB
from p2o_train.rendering.catalog import Catalog
from p2o_train.rendering.protocols import GROUP_SIZES, Protocol, SceneOptions, draw_scene


@pytest.fixture(scope="module")
def catalog(solids: ShapeDB) -> Catalog:
    return Catalog(solids, "train", None, 200)


@pytest.mark.parametrize("protocol", ["pairs", "triplets"])
def test_groups_hold_whole_objects_of_different_classes(
    catalog: Catalog, solids: ShapeDB, protocol: Protocol
) -> None:
    for seed in range(5):
        draft = draw_scene(np.random.default_rng(seed), catalog, SceneOptions(protocol))
        layout = draft.layout
        assert len(layout.objects) == len(draft.model_index) == GROUP_SIZES[protocol]
        assert layout.clutter == ()
        names = [solids.models[i].class_name for i in draft.model_index]
        available = {catalog.class_of(o.asset) for o in layout.objects}
        assert len(available) == len(set(names))
        assert len(set(names)) == min(len(names), _classes_of_kind(catalog, layout.kind))
        camera = layout.viewpoint.camera(256)
        for thing in layout.objects:
            x, y, depth = camera.project(thing.box().translation)
            assert depth > 0
            assert 20 < x < 236
            assert 20 < y < 236
            corners = camera.project(thing.box().corners())[:, :2]
            assert corners.min() > -26
            assert corners.max() < 282


def test_the_same_seed_gives_the_same_scene(catalog: Catalog) -> None:
    first, second = (
        draw_scene(np.random.default_rng(1), catalog, SceneOptions("pairs")) for _ in range(2)
    )
    assert first.model_index == second.model_index
    assert [o.x for o in first.layout.objects] == [o.x for o in second.layout.objects]


def _classes_of_kind(catalog: Catalog, kind: str) -> int:
    rng = np.random.default_rng(0)
    drawn = (catalog.draw_model(rng, kind).standing.asset for _ in range(60))
    return len({catalog.class_of(asset) for asset in drawn})
