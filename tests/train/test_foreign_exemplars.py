from pathlib import Path

import numpy as np
import pytest

from p2o_shapedb.build import build
from p2o_shapedb.config import BuildConfig, PackConfig
from p2o_shapedb.database import ShapeDB
from p2o_shapedb.packing.pack import write_pack
from p2o_train.foreign_exemplars import read_exemplars, with_exemplars
from points2objects.errors import InputError
from points2objects.exemplars import ExemplarPack
from points2objects.spec import ModelSpec


def config_of(out: Path, seed: int = 0) -> BuildConfig:
    return BuildConfig(
        out=out, procedural=8, classes=("bottle", "bowl"), exemplars_per_class=2, workers=0,
        oracle_models=0, val_share=0.3, seed=seed,
    )  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> ShapeDB:
    """The database that a network was made for."""
    return build(config_of(tmp_path_factory.mktemp("home") / "db")).database


@pytest.fixture(scope="module")
def pack_file(home: ShapeDB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its exemplars, as they ship."""
    path = tmp_path_factory.mktemp("pack") / "exemplars.glb"
    write_pack(home, path, PackConfig(Path("db"), workers=0).options)
    return path


def spec_of(home: ShapeDB) -> ModelSpec:
    return ModelSpec("home", home.classes, home.exemplars_per_class, home.digest)


def test_the_own_exemplars_give_what_the_own_database_says(home: ShapeDB, pack_file: Path) -> None:
    again = with_exemplars(home, read_exemplars(pack_file, spec_of(home)), "val")
    rows = [i for i, model in enumerate(home.models) if model.split == "val"]
    assert len(rows) > 2
    assert np.abs(again.sdf - home.sdf).mean() < 0.005
    np.testing.assert_array_equal(again.exemplar_id[rows], home.exemplar_id[rows])
    # Only those of the split give the scale of the labels, so their order alone is the same.
    np.testing.assert_array_equal(
        again.soft_labels[rows].argmax(axis=1), home.soft_labels[rows].argmax(axis=1)
    )


def test_another_database_of_the_classes_keeps_its_models(
    home: ShapeDB, pack_file: Path, tmp_path: Path
) -> None:
    other = build(config_of(tmp_path / "db", seed=5)).database
    assert other.digest != home.digest
    mixed = with_exemplars(other, ExemplarPack.load(pack_file), "val")
    assert mixed.models == other.models
    assert mixed.sdf.shape == home.sdf.shape
    for row, model in enumerate(other.models):
        own = other.classes.index(model.class_name)
        if model.split == "val":
            assert mixed.exemplar_id[row] // home.exemplars_per_class == own


def test_exemplars_of_another_network_or_of_other_classes_are_refused(
    home: ShapeDB, pack_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"expected a bundle or its exemplars\.glb"):
        read_exemplars(tmp_path, spec_of(home))
    foreign = ModelSpec("other", home.classes, home.exemplars_per_class, "0" * 64)
    with pytest.raises(InputError, match="pass the bundle of this very network"):
        read_exemplars(pack_file, foreign)
    pack = ExemplarPack.load(pack_file)
    swapped = ExemplarPack(pack.meshes, pack.classes[::-1], pack.exemplars_per_class, pack.digest)
    with pytest.raises(InputError, match="pass a database of the same classes"):
        with_exemplars(home, swapped, "val")
