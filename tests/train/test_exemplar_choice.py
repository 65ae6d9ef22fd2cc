"""The place of an exemplar against SciPy's ranks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from p2o_train.metrics.exemplar_choice import exemplar_rank


@given(
    labels=st.lists(st.sampled_from([0.0, 0.0, 0.2, 0.5, 0.7]), min_size=1, max_size=12),
    nearest=st.integers(0, 11),
)
def test_places_are_scipy_s_with_the_nearest_first(labels: list[float], nearest: int) -> None:
    soft = np.array(labels)
    nearest %= len(soft)
    soft[nearest] = soft.max()
    ordered = soft.copy()
    ordered[nearest] = 2.0
    places = [exemplar_rank(soft, nearest, chosen) for chosen in range(len(soft))]
    np.testing.assert_allclose(places, rankdata(-ordered))
    assert np.mean(places) == pytest.approx((len(soft) + 1) / 2)


def test_the_nearest_is_first_though_all_are_out_of_reach() -> None:
    assert exemplar_rank(np.zeros(5), 3, 3) == 1
    assert exemplar_rank(np.zeros(5), 3, 0) == 3.5
