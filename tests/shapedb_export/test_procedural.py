from typing import Any

import numpy as np
import pytest
import trimesh as trimesh_typed

from p2o_shapedb.procedural import FAMILIES, generate
from p2o_shapedb.procedural.parts import (
    Part,
    bar,
    box,
    cushion,
    lathe,
    leg,
    plate,
    rounded_box,
    rounded_path,
    signed_volume,
    smooth,
    sweep,
)
from points2objects.errors import InputError

trimesh: Any = trimesh_typed  # half of its own annotations are missing


RED = (255, 0, 0)
PATH = rounded_path([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]], 0.2)

PRIMITIVES: dict[str, tuple[Part, float]] = {
    "box": (box([-1, 0, -2], [1, 1, 2], RED), 8.0),
    "leg": (leg([0, 1, 0], [0.3, 0, 0], 0.1, 0.1, RED, 2.0), 0.0314),
    "bar": (bar([0, 0, 0], [0, 0, 2], 0.1, 0.2, RED), 0.16),
    "vertical bar": (bar([0, 0, 0], [0, 2, 0], 0.1, 0.1, RED), 0.08),
    "plate": (plate(0.5, 0.5, 0.0, 0.1, RED, 2.0, 0.01), 0.0785),
    "cushion": (cushion([-1, -1, -1], [1, 1, 1], RED, 2.0), 4.19),
    "rounded box": (rounded_box([-1, -1, -1], [1, 1, 1], RED, 0.1), 7.9),
    "lathe": (lathe(np.array([[0, 0], [1, 0], [1, 2], [0, 2]]), RED), 6.28),
    "sweep": (sweep(PATH, 0.05, 0.05, RED, (0.3, 0.5, 0.8)), 0.0225),
}


@pytest.mark.parametrize("name", PRIMITIVES)
def test_parts_are_closed_and_have_the_volume_of_the_formula(name: str) -> None:
    part, volume = PRIMITIVES[name]
    mesh = trimesh.Trimesh(part.vertices, part.faces, process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    # Sections are polygons inside their outline: round ones lose some, square ones their corners.
    assert 0.8 * volume < signed_volume(part.vertices, part.faces) <= 1.01 * volume


def test_turned_parts_stay_outside_out() -> None:
    part = box([0, 0, 0], [1, 1, 1], RED)
    turned = part.turned(np.pi / 2)
    # A quarter turn about +y carries -z to -x and so +x to -z.
    np.testing.assert_allclose(turned.vertices.min(axis=0), [0, 0, -1], atol=1e-12)


def test_smooth_stays_within_its_control_points() -> None:
    curve = smooth([[1.0, 0.0], [0.4, 0.5], [0.4, 0.8], [1.0, 1.0]], 50)
    assert curve.min() >= 0
    assert curve[:, 0].max() <= 1.0
    assert curve[:, 0].min() >= 0.4


def test_every_class_has_at_least_five_families() -> None:
    assert set(FAMILIES) == {"bottle", "bowl", "chair", "mug", "sofa", "table"}
    assert all(len(families) >= 5 for families in FAMILIES.values())


@pytest.mark.parametrize("class_name", FAMILIES)
def test_models_are_closed_upright_and_of_natural_size(class_name: str) -> None:
    biggest = {"bottle": 0.5, "bowl": 0.4, "chair": 1.6, "mug": 0.25, "sofa": 4.5, "table": 2.2}
    for index in range(2 * len(FAMILIES[class_name])):
        model = generate(class_name, index, seed=0)
        mesh = trimesh.Trimesh(model.vertices, model.faces, process=False)
        for piece in mesh.split(only_watertight=False):
            assert piece.is_watertight, model.name
            assert piece.volume > 0, model.name
        extent = np.ptp(model.vertices, axis=0)
        assert extent.max() < biggest[class_name], model.name
        assert extent.min() > 0.02, model.name
        assert abs(model.vertices[:, 1].min()) < 0.02, model.name  # stands on the floor
        assert model.colors.shape == model.vertices.shape
        assert model.colors.dtype == np.uint8


@pytest.mark.parametrize("class_name", ["chair", "sofa"])
def test_backs_are_at_plus_z(class_name: str) -> None:
    for index in range(2 * len(FAMILIES[class_name])):
        model = generate(class_name, index, seed=1)
        height = model.vertices[:, 1].max()
        top = model.vertices[model.vertices[:, 1] > 0.9 * height]
        middle = (model.vertices[:, 2].max() + model.vertices[:, 2].min()) / 2
        assert top[:, 2].mean() > middle, model.name


def test_mug_handles_are_on_minus_x() -> None:
    for index in range(16):
        model = generate("mug", index, seed=2)
        assert -model.vertices[:, 0].min() > model.vertices[:, 0].max() + 0.01


def test_mugs_and_bowls_are_hollow() -> None:
    for class_name in ("mug", "bowl"):
        for index in range(8):
            model = generate(class_name, index, seed=0)
            mesh = trimesh.Trimesh(model.vertices, model.faces)
            assert mesh.volume < 0.6 * mesh.convex_hull.volume, model.name


def test_the_seed_decides_everything() -> None:
    first, again, other = (generate("chair", 3, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.vertices, again.vertices)
    assert first.vertices.shape != other.vertices.shape or not np.allclose(
        first.vertices, other.vertices
    )


def test_unknown_classes_are_refused() -> None:
    with pytest.raises(InputError, match=r"no procedural models for class 'lamp'.*--cad"):
        generate("lamp", 0, 0)
