from pathlib import Path

import numpy as np
import pytest

from p2o_shapedb.cache import Cache
from p2o_shapedb.config import BuildConfig
from p2o_shapedb.process import Job
from p2o_shapedb.splits import assign_splits
from p2o_shapedb.twins import twin_groups
from points2objects.errors import InputError
from points2objects.geometry import FloatArray


@pytest.fixture
def shapes(tmp_path: Path) -> tuple[Cache, list[str], FloatArray]:
    """Twelve shapes in a cache, of which some are nearly the same."""
    rng = np.random.default_rng(0)
    cache, keys = Cache(tmp_path), [f"{i:032x}" for i in range(12)]
    grids = rng.normal(0, 0.2, (12, 32, 32, 32)).astype(np.float32)
    sides = rng.uniform(0.4, 0.8, (12, 3))
    grids[7] = grids[2] + np.float32(0.002)
    sides[7] = sides[2] * 0.001  # in millimetres
    grids[9], sides[9] = grids[7] + np.float32(0.003), sides[2] * 1.0005
    grids[4] = grids[3]  # in another box
    sides[6] = sides[5]  # another shape in its box
    grids[6] = grids[5]
    grids[6, 10, 10, 10] += 0.1
    for key, grid in zip(keys, grids, strict=True):
        cache.folder(key).mkdir(parents=True)
        np.save(cache.sdf_file(key), grid)
    return cache, keys, sides


def test_one_shape_of_any_size_is_one_group(shapes: tuple[Cache, list[str], FloatArray]) -> None:
    cache, keys, sides = shapes
    want = list(range(12))
    want[7] = want[9] = 2  # 9 is near enough to 7 only, and 7 to 2
    assert twin_groups(cache, keys, sides) == want
    assert twin_groups(cache, keys[:1], sides[:1]) == [0]
    assert twin_groups(cache, [], np.zeros((0, 3))) == []


def jobs(count: int, class_name: str = "chair") -> list[Job]:
    return [Job(f"{class_name}/{i:03}", class_name, None, 0, 0, 0.0, 1.0) for i in range(count)]


def config(**changes: object) -> BuildConfig:
    values: dict[str, object] = {"classes": ("chair",), "exemplars_per_class": 2}
    return BuildConfig(**(values | changes))  # type: ignore[arg-type]


def test_twins_are_never_on_both_sides() -> None:
    twins = [i - i % 3 for i in range(300)]
    for seed in range(5):
        splits = assign_splits(jobs(300), config(seed=seed), twins)
        assert all(splits[i] == splits[first] for i, first in enumerate(twins))
        assert 0.08 < splits.count("val") / 300 < 0.25


def test_models_without_twins_keep_their_side() -> None:
    alone = assign_splits(jobs(100), config())
    twins = list(range(100))
    twins[50] = 3
    together = assign_splits(jobs(100), config(), twins)
    assert [a for i, a in enumerate(alone) if i != 50] == [
        b for i, b in enumerate(together) if i != 50
    ]
    assert together[50] == together[3]


def test_a_class_of_one_shape_teaches() -> None:
    for seed in range(30):
        assert assign_splits(jobs(4), config(seed=seed), [0, 0, 0, 0]) == ["train"] * 4
        splits = assign_splits(jobs(5), config(seed=seed), [0, 0, 0, 0, 4])
        assert splits[:4] == ["train"] * 4


def test_a_spare_group_validates_only_if_enough_stay() -> None:
    for seed in range(30):
        splits = assign_splits(jobs(6), config(seed=seed, val_share=0.01), [0, 0, 0, 0, 4, 4])
        assert splits == ["train"] * 4 + ["val"] * 2  # four of six must stay to be spare


def test_the_twin_of_a_model_held_out_by_name_is_held_out(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("chair/001\n")
    chosen = config(held_out=tmp_path / "list.txt")
    assert assign_splits(jobs(4), chosen, [0, 1, 1, 3]) == ["train", "val", "val", "train"]
    (tmp_path / "list.txt").write_text("chair/009\n")
    with pytest.raises(InputError, match="names none of the 4 models"):
        assign_splits(jobs(4), chosen, [0, 1, 1, 3])
