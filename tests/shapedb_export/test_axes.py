import itertools

import numpy as np
import pytest

from p2o_shapedb.cad.axes import Axes, Front, Up
from points2objects.errors import InputError

AXES: tuple[Up, ...] = ("x", "y", "z", "-x", "-y", "-z")


def test_the_usual_frame_is_left_alone() -> None:
    np.testing.assert_array_equal(Axes().canonical_from_file(), np.eye(3))


@pytest.mark.parametrize("up", AXES)
def test_every_frame_is_turned_and_never_mirrored(up: Up) -> None:
    fronts: list[Front] = [a for a in AXES if a[-1] != up[-1]]
    for front in (*fronts, "auto"):
        matrix = Axes(up, front).canonical_from_file()
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3))
        assert np.linalg.det(matrix) == pytest.approx(1.0)


def test_up_goes_to_y_and_front_to_z() -> None:
    # Blender: z up, the front looks along -y.
    matrix = Axes("z").canonical_from_file()
    np.testing.assert_array_equal(matrix @ [0, 0, 1], [0, 1, 0])
    np.testing.assert_array_equal(matrix @ [0, -1, 0], [0, 0, 1])
    np.testing.assert_array_equal(matrix @ [1, 0, 0], [1, 0, 0])


def test_the_unit_scales_lengths() -> None:
    found = Axes("y", "x", 0.001).canonical_from_file() @ [250.0, 0, 0]
    np.testing.assert_allclose(found, [0, 0, 0.25])


def test_a_front_along_up_is_refused() -> None:
    for up, sign in itertools.product(("x", "y", "z"), ("", "-")):
        with pytest.raises(InputError, match="lies along --up"):
            Axes(up, f"{sign}{up}")  # type: ignore[arg-type]


def test_nonsense_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="--up must be one of"):
        Axes("w")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="--front must be"):
        Axes("y", "left")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="unit_m must be a positive"):
        Axes(unit_m=float("nan"))
