"""Peaks against a naive twin, and what the decoder reads there."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from points2objects import BundleError, InputError, ModelSpec
from points2objects.decode import decode, find_peaks
from points2objects.spec import GravityEncoding, PoseEncoding
from points2objects.tensors import OutputMap

levels = hnp.arrays(np.int8, (7, 6, 2), elements=st.integers(-4, 3))


def _naive_peaks(values: npt.NDArray[np.int8], least: int) -> set[tuple[int, int, int]]:
    """Cells at least `least` that no neighbour exceeds and no earlier neighbour equals."""
    height, width, n_classes = values.shape
    found = set()
    for row, column, label in np.ndindex(height, width, n_classes):
        value = int(values[row, column, label])
        keep = value >= least
        for r in range(max(row - 1, 0), min(row + 2, height)):
            for c in range(max(column - 1, 0), min(column + 2, width)):
                other = int(values[r, c, label])
                keep &= other <= value if (r, c) >= (row, column) else other < value
        if keep:
            found.add((row, column, label))
    return found


@given(levels, st.integers(-4, 4))
def test_peaks_are_those_of_the_naive_search(values: npt.NDArray[np.int8], least: int) -> None:
    heatmap = OutputMap(values, scale=1 / 256, zero_point=-128)
    row, column, label, score = find_peaks(heatmap, (least + 128) / 256, 1000)
    found = list(zip(row.tolist(), column.tolist(), label.tolist(), strict=True))
    assert set(found) == _naive_peaks(values, least)
    assert len(found) == len(set(found))
    np.testing.assert_allclose(score, (values[row, column, label] + 128.0) / 256, rtol=1e-6)
    assert (np.diff(score) <= 0).all()


@given(levels)
def test_float_and_integer_maps_have_the_same_peaks(values: npt.NDArray[np.int8]) -> None:
    integer = OutputMap(values, scale=0.25, zero_point=-4)
    as_float = OutputMap(integer.real())
    for a, b in zip(find_peaks(integer, 0.5, 9), find_peaks(as_float, 0.5, 9), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_flat_map_has_one_peak_and_an_empty_one_none() -> None:
    row, column, _, _ = find_peaks(OutputMap(np.full((5, 5, 1), 0.5, np.float32)), 0.3, 9)
    assert (row.tolist(), column.tolist()) == ([0], [0])
    assert len(find_peaks(OutputMap(np.zeros((5, 5, 1), np.float32)), 0.3, 9)[0]) == 0


def test_the_limit_keeps_the_best() -> None:
    values = np.zeros((9, 9, 1), np.float32)
    values[[1, 4, 7], [1, 4, 7], 0] = [0.5, 0.9, 0.7]
    row, _, _, score = find_peaks(OutputMap(values), 0.1, 2)
    assert row.tolist() == [4, 7]
    np.testing.assert_allclose(score, [0.9, 0.7])


def _maps(spec: ModelSpec) -> dict[str, OutputMap]:
    size = spec.map_size
    return {
        name: OutputMap(np.zeros((size, size, channels), np.float32))
        for name, channels in spec.outputs.items()
    }


def test_exemplars_are_chosen_within_the_detected_class(spec: ModelSpec) -> None:
    maps = _maps(spec)
    maps["heatmap"].values[3, 5, 1] = 0.8
    maps["exemplar"].values[3, 5] = [9.0, 8.0, 1.0, 2.0]
    peaks = decode(maps, spec)
    assert peaks.class_id.tolist() == [1]
    assert peaks.exemplar_id.tolist() == [3]
    assert (peaks.row.tolist(), peaks.column.tolist()) == ([3], [5])


@pytest.mark.parametrize("cell", [(3, 5), (0, 63)])
def test_heads_are_read_as_the_score_weighted_mean_of_the_cells_around(
    spec: ModelSpec, cell: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    voting = replace(spec, vote_radius=1)
    maps = {
        name: OutputMap(rng.uniform(0, 0.5, output.values.shape).astype(np.float32))
        for name, output in _maps(spec).items()
    }
    maps["heatmap"].values[cell][1] = 0.9
    cells = [
        (r, c)
        for r in range(cell[0] - 1, cell[0] + 2)
        for c in range(cell[1] - 1, cell[1] + 2)
        if 0 <= r < 64 and 0 <= c < 64
    ]
    weight = np.array([float(maps["heatmap"].values[at][1]) ** 2 for at in cells])
    weight /= weight.sum()
    peaks = decode(maps, voting, 0.8)
    for name in ("rotation", "translation", "scale", "gravity"):
        read = np.array([maps[name].values[at] for at in cells], float)
        if name == "translation":
            read[:, :2] += [(c - cell[1], r - cell[0]) for r, c in cells]
        np.testing.assert_allclose(getattr(peaks, name)[0], weight @ read, rtol=1e-5)
    alone = decode(maps, spec, 0.8)
    np.testing.assert_allclose(alone.scale[0], maps["scale"].values[cell], rtol=1e-6)
    logits = np.array([maps["exemplar"].values[at] for at in cells], float)[:, 2:]
    assert peaks.exemplar_id.tolist() == [2 + (weight @ logits).argmax()]
    assert alone.exemplar_id.tolist() == [2 + maps["exemplar"].values[cell][2:].argmax()]


def test_nothing_found_decodes_to_nothing(spec: ModelSpec) -> None:
    peaks = decode(_maps(spec), spec)
    assert len(peaks) == 0
    assert peaks.rotation.shape == (0, 9)
    assert peaks.exemplar_id.shape == (0,)


def test_a_model_that_learned_at_centres_only_cannot_vote(spec: ModelSpec) -> None:
    with pytest.raises(BundleError, match="0 for the direct pose, got 1 for direct"):
        replace(spec, pose=PoseEncoding.DIRECT, vote_radius=1)


def test_maps_must_be_the_specs(spec: ModelSpec) -> None:
    maps = _maps(spec)
    del maps["gravity"]
    with pytest.raises(InputError, match="output 'gravity' is missing"):
        decode(maps, spec)
    maps["gravity"] = OutputMap(np.zeros((64, 64, 4), np.float32))
    with pytest.raises(InputError, match=r"output gravity: expected shape \(64 64 3\)"):
        decode(maps, spec)


@given(hnp.arrays(np.int8, (4, 5, 3)), st.floats(1e-4, 10), st.integers(-128, 127))
def test_gathering_reads_what_the_whole_map_holds(
    values: npt.NDArray[np.int8], scale: float, zero_point: int
) -> None:
    output = OutputMap(values, scale, zero_point)
    rows, columns = np.array([0, 3, 3]), np.array([4, 0, 0])
    np.testing.assert_allclose(
        output.gather(rows, columns), output.real()[rows, columns], rtol=1e-6
    )


def test_a_class_may_need_a_score_of_its_own(spec: ModelSpec) -> None:
    maps = _maps(spec)
    maps["heatmap"].values[3, 5, 0] = 0.35
    maps["heatmap"].values[9, 9, 1] = 0.35
    assert decode(maps, spec).class_id.tolist() == [0, 1]
    strict = replace(spec, class_thresholds=(0.3, 0.4))
    assert decode(maps, strict).class_id.tolist() == [0]
    assert decode(maps, strict, 0.3).class_id.tolist() == [0, 1]
    assert ModelSpec.from_json(strict.to_json()) == strict
    with pytest.raises(BundleError, match=r"class_thresholds must be 2 numbers in 0\.\.1"):
        replace(spec, class_thresholds=(0.3,))


def _pooled_maps(spec: ModelSpec) -> dict[str, OutputMap]:
    rng = np.random.default_rng(0)
    size = spec.map_size
    maps = {
        name: OutputMap(rng.normal(size=(size, size, channels)).astype(np.float32))
        for name, channels in spec.outputs.items()
    }
    heatmap = np.zeros((size, size, len(spec.classes)), np.float32)
    heatmap[3, 5, 0] = heatmap[9, 2, 0] = 0.9
    return {**maps, "heatmap": OutputMap(heatmap)}


def test_pooled_gravity_is_the_mean_of_the_grid_by_confidence() -> None:
    spec = ModelSpec("t", ("chair",), 2, "d", input_size=64, gravity=GravityEncoding.POOLED)
    maps = _pooled_maps(spec)
    values = maps["gravity"].values[2::4, 2::4].reshape(-1, 4).astype(float)
    weight = np.exp(values[:, 3])
    expected = (weight[:, None] * values[:, :3]).sum(axis=0) / weight.sum()
    peaks = decode(maps, spec)
    assert len(peaks) == 2
    np.testing.assert_allclose(peaks.gravity, [expected, expected], rtol=1e-6)


def test_a_cell_that_is_sure_outweighs_all_others_however_large_the_numbers() -> None:
    spec = ModelSpec("t", ("chair",), 2, "d", input_size=64, gravity=GravityEncoding.POOLED)
    maps = _pooled_maps(spec)
    values = maps["gravity"].values.copy()
    values[6, 10] = [0.1, 0.2, 0.3, 1000.0]
    np.testing.assert_allclose(
        decode({**maps, "gravity": OutputMap(values)}, spec).gravity[0], [0.1, 0.2, 0.3], rtol=1e-6
    )
