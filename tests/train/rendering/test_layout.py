from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o_shapedb.database import ShapeDB
from p2o_train.rendering.catalog import Catalog
from p2o_train.rendering.clutter import Clutter, Labelled
from p2o_train.rendering.compose import Stock
from p2o_train.rendering.drafts import draw_layout
from p2o_train.rendering.layout import Standing, Viewpoint, footprints_overlap
from p2o_train.rendering.tabletops import GRID, flat_top
from points2objects.camera import level_from_up
from points2objects.errors import InputError

PLACES = st.floats(-1, 1)
ANGLES = st.floats(-3.2, 3.2)


def board(width: float, depth: float, yaw: float = 0.0, x: float = 0.0, z: float = 0.0) -> Standing:
    return Standing("box", np.array([width, 0.5, depth]), yaw, x, z)


def contains(standing: Standing, points: np.ndarray) -> np.ndarray:
    local = points - [standing.x, standing.z]
    cos, sin = np.cos(standing.yaw), np.sin(standing.yaw)
    local = local @ np.array([[cos, sin], [-sin, cos]])
    return np.asarray((np.abs(local) <= standing.extent[[0, 2]] / 2).all(-1))


def _carried(thing: Standing, table: Standing) -> bool:
    return bool(
        contains(table, thing.corners()).all() and thing.y == pytest.approx(table.extent[1])
    )


@given(x=PLACES, z=PLACES, yaw=ANGLES, other=ANGLES)
def test_overlap_agrees_with_points_that_lie_in_both_footprints(
    x: float, z: float, yaw: float, other: float
) -> None:
    a, b = board(1.0, 0.3, yaw), board(0.4, 0.8, other, x, z)
    inside = np.random.default_rng(0).uniform(-1, 1, (4000, 2))
    both = contains(a, inside) & contains(b, inside)
    if both.any():
        assert footprints_overlap(a, b)
    if not footprints_overlap(a, b):
        assert not both.any()


def test_footprints_that_cross_without_a_corner_in_the_other_overlap() -> None:
    assert footprints_overlap(board(2, 0.1), board(0.1, 2))


def test_a_gap_is_kept() -> None:
    a, b = board(1, 1), board(1, 1, x=1.05)
    assert not footprints_overlap(a, b)
    assert footprints_overlap(a, b, gap=0.1)
    assert not footprints_overlap(a, b, gap=0.04)


def test_a_diagonal_neighbour_that_only_its_bounding_box_touches_is_apart() -> None:
    assert not footprints_overlap(board(1, 1), board(1, 1, yaw=np.pi / 4, x=0.9, z=0.9))


def test_corners_match_the_box() -> None:
    standing = board(1.0, 0.3, yaw=0.7, x=0.2, z=-2)
    box = standing.box().corners()[[0, 4, 5, 1]][:, [0, 2]]
    np.testing.assert_allclose(standing.corners(), box, atol=1e-12)
    assert standing.box().corners()[:, 1].min() == pytest.approx(0)


@pytest.mark.parametrize(("pitch", "roll"), [(0.1, 0.0), (0.9, 0.12), (0.5, -0.1)])
def test_the_camera_of_a_viewpoint_heads_along_minus_z(pitch: float, roll: float) -> None:
    camera = Viewpoint(1.4, pitch, roll).camera(256, unit=1.4)
    np.testing.assert_allclose(camera.pose[:3, 3], [0, 1, 0])
    np.testing.assert_allclose(camera.level_rotation(), camera.pose[:3, :3], atol=1e-12)
    np.testing.assert_allclose(level_from_up(camera.up_camera), camera.pose[:3, :3], atol=1e-12)
    ahead = camera.pose[:3, :3] @ [0, 0, 1]
    np.testing.assert_allclose(ahead, [0, -np.sin(pitch), -np.cos(pitch)], atol=1e-12)


def test_layouts_never_let_things_stand_in_each_other(stock: Stock) -> None:
    seen = set()
    for seed in range(60):
        layout = draw_layout(np.random.default_rng(seed), stock.catalog).layout
        # Parts of one thing of the clutter may lie on each other, as books do.
        things = layout.objects
        pairs = [(a, b) for i, a in enumerate(things) for b in (*things[:i], *layout.clutter)]
        assert not any(footprints_overlap(a, b) for a, b in pairs)
        seen |= {len(layout.objects)}
    assert {1, 2, 3, 4} <= seen


def test_vessels_on_a_table_are_carried_by_its_top(tables_and_mugs: ShapeDB) -> None:
    catalog = Catalog(tables_and_mugs, "train", None, 1000)
    raised, laid = 0, 0
    for seed in range(60):
        layout = draw_layout(np.random.default_rng(seed), catalog, on_tables=1.0).layout
        tables = [o for o in layout.objects if catalog.class_of(o.asset) == "table"]
        vessels = [thing for thing in layout.objects if thing.y > 0]
        raised += len(vessels)
        laid += sum(_carried(thing, table) for thing in layout.clutter for table in tables)
        for thing in vessels:
            assert any(_carried(thing, table) for table in tables)
            assert thing.box().corners()[:, 1].min() == pytest.approx(thing.y)
        pairs = [(a, b) for i, a in enumerate(vessels) for b in vessels[:i]]
        assert not any(footprints_overlap(a, b) for a, b in pairs)
    assert raised > 10
    assert laid > 40
    assert all(
        thing.y == 0
        for seed in range(20)
        for thing in draw_layout(np.random.default_rng(seed), catalog).layout.objects
    )


@pytest.mark.parametrize("kind", ["floor", "tabletop", "desk"])
def test_clutter_stays_inside_the_hull_that_found_a_place(kind: str) -> None:
    clutter, compounds = Clutter(None, Labelled()), 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        thing = clutter.draw(rng, kind)
        assert thing is not None
        place = replace(thing.hull, yaw=0.7, x=0.3, y=0.5, z=-2.0)
        parts = thing.at(place)
        compounds += len(parts) > 1
        for part in parts:
            low, high = part.box().corners()[:, 1].min(), part.box().corners()[:, 1].max()
            assert contains(replace(place, extent=place.extent + 1e-9), part.corners()).all()
            assert 0.5 - 1e-9 <= low < high <= 0.5 + place.extent[1] + 1e-9
    assert compounds > 10


def test_only_the_flat_part_of_a_top_carries(solids: ShapeDB) -> None:
    # The L-shaped seat: its top is the back alone, a fifth of its depth.
    top = flat_top(Catalog(solids, "train", None, 1000).mesh("model:0"))
    assert top[:, : GRID // 2].sum() == 0
    assert 0.15 < top.mean() < 0.3


def test_layouts_take_models_of_their_split_only(solids: ShapeDB) -> None:
    catalog = Catalog(solids, "val", None, 1000)
    for seed in range(10):
        draft = draw_layout(np.random.default_rng(seed), catalog)
        assert all(solids.models[index].split == "val" for index in draft.model_index)


def test_a_scaled_layout_is_similar(stock: Stock) -> None:
    layout = draw_layout(np.random.default_rng(3), stock.catalog).layout
    twice = layout.scaled(2.0)
    np.testing.assert_allclose(twice.objects[0].box().scale, 2 * layout.objects[0].box().scale)
    np.testing.assert_allclose(
        twice.objects[0].box().translation, 2 * layout.objects[0].box().translation
    )
    assert twice.viewpoint.height == 2 * layout.viewpoint.height


def test_a_split_without_models_is_refused(solids: ShapeDB) -> None:
    with pytest.raises(InputError, match=r"no model of split 'test'; build it with --val-share"):
        Catalog(solids, "test", None, 1000)
