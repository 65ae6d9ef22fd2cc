"""Average precision where not everything is labelled: who counts, who does not, worked by hand."""

import numpy as np
import pytest

from p2o_train.metrics.rectangle_ap import (
    LabelledPicture,
    Matched,
    Rectangles,
    average_precisions,
    found_at,
    match,
    operating,
)

CHAIR, TABLE = 0, 1
Box = tuple[float, float, float, float]
LEFT, RIGHT, WIDE = (0.0, 0.0, 40.0, 40.0), (60.0, 0.0, 100.0, 40.0), (0.0, 0.0, 100.0, 40.0)


def _truth(
    *boxes: Box, ignore: tuple[int, ...] = (), exhaustive: tuple[bool, bool] = (True, True)
) -> LabelledPicture:
    return LabelledPicture(
        np.array(boxes).reshape(-1, 4),
        np.full(len(boxes), CHAIR),
        np.isin(np.arange(len(boxes)), ignore),
        np.array(exhaustive),
    )


def _found(*items: tuple[Box, float, int]) -> Rectangles:
    return Rectangles(
        np.array([box for box, _, _ in items], dtype=float).reshape(-1, 4),
        np.array([own for _, _, own in items], dtype=np.int64),
        np.array([score for _, score, _ in items], dtype=float),
    )


def test_each_rectangle_is_taken_once_by_the_surest() -> None:
    done = match(_truth(LEFT), _found((LEFT, 0.4, CHAIR), (LEFT, 0.9, CHAIR), (RIGHT, 0.8, CHAIR)))
    assert done.hit.tolist() == [False, True, False]
    assert done.wrong.tolist() == [True, False, True]
    assert done.n_truth.tolist() == [1, 0]


def test_another_class_is_no_hit() -> None:
    done = match(_truth(LEFT), _found((LEFT, 0.9, TABLE)))
    assert (done.hit.tolist(), done.wrong.tolist()) == ([False], [True])


def test_what_lies_on_an_ignored_rectangle_counts_neither_way() -> None:
    # One of a crowd fills a part of the crowd's rectangle only.
    done = match(_truth(WIDE, ignore=(0,)), _found((WIDE, 0.9, CHAIR), (LEFT, 0.8, CHAIR)))
    assert not done.hit.any()
    assert not done.wrong.any()
    assert done.n_truth.tolist() == [0, 0]


def test_a_true_rectangle_goes_before_an_ignored_one() -> None:
    done = match(_truth(WIDE, LEFT, ignore=(0,)), _found((LEFT, 0.9, CHAIR)))
    assert done.hit.tolist() == [True]


def test_classes_that_are_not_labelled_throughout_have_no_inventions() -> None:
    truth = _truth(LEFT, exhaustive=(False, True))
    done = match(truth, _found((LEFT, 0.9, CHAIR), (RIGHT, 0.8, CHAIR), (RIGHT, 0.7, TABLE)))
    assert done.hit.tolist() == [True, False, False]
    assert done.wrong.tolist() == [False, False, True]


def test_small_objects_are_ignored_among_the_large_and_so_is_what_finds_them() -> None:
    small = (60.0, 0.0, 70.0, 10.0)
    found = _found((LEFT, 0.9, CHAIR), (small, 0.8, CHAIR), ((80.0, 80.0, 85.0, 85.0), 0.7, CHAIR))
    done = match(_truth(LEFT, small), found, least_side=20)
    assert done.n_truth.tolist() == [1, 0]
    assert done.hit.tolist() == [True, False, False]
    assert not done.wrong.any()


def test_average_precision_by_hand() -> None:
    # Ranked: hit, invention, hit, of three: precision 1 at recall 1/3, 2/3 at 2/3.
    pictures = [
        match(_truth(LEFT, RIGHT), _found((LEFT, 0.9, CHAIR), ((0, 60, 9, 99), 0.8, CHAIR))),
        match(_truth(LEFT), _found((LEFT, 0.7, CHAIR))),
    ]
    chair, table = average_precisions(pictures, 2)
    assert chair == pytest.approx((1 + 2 / 3) / 3)
    assert np.isnan(table)


def test_nothing_found_is_zero_and_not_absent() -> None:
    assert average_precisions([match(_truth(LEFT), _found())], 2)[0] == 0.0


def test_found_and_invented_per_photograph() -> None:
    pictures = [
        match(_truth(LEFT, RIGHT), _found((LEFT, 0.9, CHAIR), (WIDE, 0.8, TABLE))),
        match(_truth(), _found()),
    ]
    done = operating(pictures)
    assert (done.found, done.invented) == (0.5, 0.5)


def test_recall_at_few_inventions_takes_the_threshold_that_allows_them() -> None:
    def picture(hits: list[float], wrong: list[float]) -> Matched:
        score = np.array(hits + wrong)
        is_hit = np.arange(len(score)) < len(hits)
        own = np.zeros(len(score), dtype=int)
        return Matched(score, own, is_hit, ~is_hit, np.array([4]))

    one = picture([0.9, 0.7, 0.3], [0.8, 0.5])
    assert found_at([one], 0.0) == 0.25
    assert found_at([one], 1.0) == 0.5
    assert found_at([one], 2.0) == 0.75
    assert found_at([one, picture([], [])], 0.5) == 2 / 8
