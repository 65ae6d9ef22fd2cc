import numpy as np
import pytest

from p2o_convert.agreement import PeakRecorder, agreement, match_peaks
from points2objects.decode import Peaks
from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMap, OutputMaps


def peaks(*found: tuple[int, int, int, int]) -> Peaks:
    """Peaks of (class, row, column, exemplar)."""
    table = np.array(found, dtype=np.int64).reshape(-1, 4)
    n = len(table)
    return Peaks(
        class_id=table[:, 0],
        score=np.linspace(1, 0.5, n),
        row=table[:, 1],
        column=table[:, 2],
        rotation=np.zeros((n, 9)),
        translation=np.zeros((n, 3)),
        scale=np.zeros((n, 3)),
        gravity=np.zeros((n, 3)),
        exemplar_id=table[:, 3],
    )


def test_a_peak_may_move_by_one_cell_but_not_change_its_class() -> None:
    mine = peaks((0, 5, 5, 1), (0, 20, 20, 2), (1, 30, 30, 3))
    theirs = peaks((0, 21, 19, 2), (0, 5, 7, 1), (2, 30, 30, 3))
    assert match_peaks(mine, theirs).tolist() == [-1, 0, -1]


def test_each_peak_has_one_partner_and_the_nearest_comes_first() -> None:
    mine = peaks((0, 5, 5, 1), (0, 5, 6, 2))
    theirs = peaks((0, 5, 6, 2))
    assert match_peaks(mine, theirs).tolist() == [-1, 0]
    assert match_peaks(mine, peaks()).tolist() == [-1, -1]
    assert match_peaks(peaks(), theirs).tolist() == []


def test_agreement_counts_over_all_images() -> None:
    first = [peaks((0, 1, 1, 4), (0, 9, 9, 5)), peaks((1, 3, 3, 7)), peaks()]
    second = [peaks((0, 1, 2, 4), (0, 9, 9, 6)), peaks(), peaks((1, 1, 1, 1))]
    found = agreement(first, second)
    assert (found.peaks, found.same_exemplar) == (3, 0.5)
    assert found.found == pytest.approx(2 / 3)
    same = agreement(first, first)
    assert (same.found, same.same_exemplar) == (1, 1)


def test_without_objects_there_is_no_share() -> None:
    found = agreement([peaks()], [peaks((0, 1, 1, 1))])
    assert found.peaks == 0
    assert np.isnan(found.found)
    assert np.isnan(found.same_exemplar)


def test_the_recorder_passes_maps_through_and_keeps_the_peaks(spec: ModelSpec) -> None:
    maps = {
        name: OutputMap(np.zeros((spec.map_size, spec.map_size, channels), np.float32))
        for name, channels in spec.outputs.items()
    }
    heatmap = maps["heatmap"].values
    assert isinstance(heatmap, np.ndarray)
    heatmap[4, 6, 1] = 0.9

    def predict(image: ByteArray) -> OutputMaps:
        return maps

    recorder = PeakRecorder(predict, spec)
    image = np.zeros((spec.input_size, spec.input_size, 3), np.uint8)
    assert recorder(image) is maps
    (found,) = recorder.peaks
    assert (found.row.tolist(), found.column.tolist(), found.class_id.tolist()) == ([4], [6], [1])
