from typing import Any

import numpy as np
import pytest
import trimesh as trimesh_typed

from p2o_shapedb.cad.meshes import RawMesh
from p2o_shapedb.canonical import canonicalise, sample_surface
from p2o_shapedb.procedural.parts import Part, box, lathe, leg, plate
from p2o_shapedb.symmetry import Symmetry, measure_symmetry

trimesh: Any = trimesh_typed  # half of its own annotations are missing


def measure(parts: list[Part]) -> Symmetry:
    mesh = trimesh.util.concatenate(
        [trimesh.Trimesh(part.vertices, part.faces, process=False) for part in parts]
    )
    vertices, faces = np.array(mesh.vertices), np.array(mesh.faces)
    grey = np.full((len(vertices), 3), 128, np.uint8)
    canonical = canonicalise(RawMesh(vertices, faces, grey, False), 0.0)
    rng = np.random.default_rng(0)
    points = sample_surface(vertices, faces, 2000, rng)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    return measure_symmetry(canonical, (points - (low + high) / 2) / (high - low))


def four_legs(x: float, z: float) -> list[Part]:
    return [
        leg([sx * x, 0.7, sz * z], [sx * x, 0, sz * z], 0.03, 0.03, (0, 0, 0))
        for sx in (-1, 1)
        for sz in (-1, 1)
    ]


def table(x: float, z: float) -> list[Part]:
    return [box([-x, 0.7, -z], [x, 0.74, z], (0, 0, 0)), *four_legs(x - 0.05, z - 0.05)]


COLUMN = lathe(np.array([[0, 0], [0.3, 0], [0.05, 0.1], [0.05, 0.7], [0, 0.7]]), (0, 0, 0))
CUP = lathe(np.array([[0, 0], [0.04, 0], [0.04, 0.1], [0, 0.1]]), (0, 0, 0))


@pytest.mark.parametrize(
    ("name", "parts", "want"),
    [
        ("round table", [plate(0.5, 0.5, 0.7, 0.74, (0, 0, 0)), COLUMN], Symmetry(0, 0)),
        (
            "round top on four legs",
            [plate(0.5, 0.5, 0.7, 0.74, (0, 0, 0)), *four_legs(0.25, 0.25)],
            Symmetry(4, 0),
        ),
        ("rectangular table", table(0.8, 0.4), Symmetry(2, 0)),
        ("square table", table(0.4, 0.4), Symmetry(4, 0)),
        ("a box 10 % longer than wide is not square", table(0.44, 0.4), Symmetry(2, 0)),
        ("oval", [plate(0.6, 0.4, 0.7, 0.74, (0, 0, 0)), COLUMN], Symmetry(2, 0)),
        (
            "chair",
            [
                box([-0.2, 0.42, -0.2], [0.2, 0.45, 0.2], (0, 0, 0)),
                box([-0.2, 0.45, 0.17], [0.2, 0.9, 0.2], (0, 0, 0)),
                *[part for part in four_legs(0.17, 0.17)],
            ],
            Symmetry(1, 0),
        ),
        (
            "mug with its handle on -x",
            [CUP, box([-0.075, 0.03, -0.006], [-0.035, 0.07, 0.006], (0, 0, 0))],
            Symmetry(1, 2),
        ),
        (
            "L-shaped sofa",
            [
                box([-1, 0, -0.4], [1, 0.4, 0.5], (0, 0, 0)),
                box([-1, 0.3, 0.3], [1, 0.85, 0.5], (0, 0, 0)),
                box([-1, 0, -1.1], [-0.3, 0.4, 0], (0, 0, 0)),
            ],
            Symmetry(1, -1),
        ),
        (
            "an S has a half turn but no mirror",
            [
                box([-0.5, 0, -0.1], [0.5, 0.3, 0.1], (0, 0, 0)),
                box([0.3, 0, -0.5], [0.5, 0.3, 0], (0, 0, 0)),
                box([-0.5, 0, 0], [-0.3, 0.3, 0.5], (0, 0, 0)),
            ],
            Symmetry(2, -1),
        ),
    ],
)
def test_symmetry_of(name: str, parts: list[Part], want: Symmetry) -> None:
    assert measure(parts) == want, name


def test_three_and_five_fold_shapes_count_as_one() -> None:
    for count in (3, 5):
        arm = box([0.0, 0, -0.05], [0.5, 0.1, 0.05], (0, 0, 0))
        star = [arm.turned(2 * np.pi * i / count + np.pi / 2) for i in range(count)]
        assert measure(star).order == 1


def test_proportions_count_and_not_the_canonical_cube() -> None:
    # In the unit cube an oval is round; at its natural size it is not.
    assert measure([plate(0.5, 0.3, 0, 0.4, (0, 0, 0))]).order == 2


@pytest.mark.parametrize(("ratio", "want"), [(1.0, 0), (1.015, 0), (1.03, 2), (1.15, 2)])
def test_a_tall_bottle_is_round_only_if_its_sides_agree(ratio: float, want: int) -> None:
    assert measure([plate(0.03 * ratio, 0.03, 0, 0.3, (0, 0, 0))]).order == want


@pytest.mark.parametrize(("ratio", "want"), [(1.0, 4), (1.015, 4), (1.03, 2), (1.15, 2)])
def test_a_tall_box_is_four_fold_only_if_its_sides_agree(ratio: float, want: int) -> None:
    found = measure([box([-0.03 * ratio, 0, -0.03], [0.03 * ratio, 0.3, 0.03], (0, 0, 0))])
    assert found.order == want
