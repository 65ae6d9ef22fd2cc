import numpy as np
import pytest

from p2o_shapedb.sizes import has_usual_size, size_warning, usual_size


def test_the_median_is_usual_and_one_outlier_does_not_move_it() -> None:
    diagonals = np.array([0.177, 0.18, 0.185, 6.97])
    usual = usual_size(diagonals, known=99.0)
    assert usual == pytest.approx(0.1825)
    assert has_usual_size(diagonals, usual).tolist() == [True, True, True, False]


def test_of_few_models_what_is_known_of_the_class_counts() -> None:
    assert usual_size(np.array([0.18, 6.97]), known=0.2) == 0.2
    assert usual_size(np.array([0.18, 6.97])) == pytest.approx(3.575)


def test_sizes_up_to_three_times_the_usual_are_fine() -> None:
    assert has_usual_size(np.array([0.34, 0.33, 2.9, 3.1]), 1.0).tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert size_warning(2.9, 1.0) == ""


@pytest.mark.parametrize(
    ("diagonal", "words"),
    [(6.97, "is 6.97 m, 38.1 times what is usual in its class, 0.183 m; is its unit right"),
     (0.00183, "is 0.00183 m, 1/100 of what is usual")],
)  # fmt: skip
def test_the_warning_says_by_how_much(diagonal: float, words: str) -> None:
    assert words in size_warning(diagonal, 0.183)
