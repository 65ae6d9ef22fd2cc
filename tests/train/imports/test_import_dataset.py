import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from p2o_shapedb.build import build
from p2o_shapedb.config import BuildConfig
from p2o_shapedb.database import ShapeDB
from p2o_train.data import sharding
from p2o_train.data.corenet import CoReNetDataset, CoReNetOptions
from p2o_train.data.importing import ImportConfig, import_dataset
from p2o_train.data.rendered import RenderedDataset
from points2objects.errors import InputError

if TYPE_CHECKING:
    from tests.train.imports.conftest import CoReNetWriter, Pix3DModels, Pix3DWriter

SCRIPT = Path(__file__).parents[3] / "train" / "import_dataset.py"


def run(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, words)], capture_output=True, text=True, check=False
    )


def scenes(corenet: "CoReNetWriter") -> Path:
    """Write three training scenes, the second without anything to label, and two to hold out."""
    chair, mug = corenet.usual
    empty = corenet.scene(eye=(0.4, -0.4, 2.3))
    corenet.split("pairs.train", corenet.scene(), empty, corenet.scene((chair,)))
    return corenet.split("pairs.val", corenet.scene((mug,)), corenet.scene(unit=0.5))


@pytest.fixture
def config(
    corenet: "CoReNetWriter", shapenet: Path, shapenet_db: ShapeDB, tmp_path: Path
) -> ImportConfig:
    assert shapenet_db.folder is not None
    return ImportConfig(
        "corenet", scenes(corenet), shapenet_db.folder, tmp_path / "set",
        shapenet=shapenet, scenes="pairs", workers=1,
    )  # fmt: skip


def test_the_command_writes_what_training_reads(
    corenet: "CoReNetWriter", shapenet: Path, shapenet_db: ShapeDB, tmp_path: Path
) -> None:
    out, sheet = tmp_path / "set", tmp_path / "sheet.png"
    words = ["--root", scenes(corenet), "--shapenet", shapenet, "--shapedb", shapenet_db.folder]
    words += ["--scenes", "pairs", "--image", "opengl", "--out", out, "--contact-sheet", sheet]
    done = run("corenet", *words, "--workers", 2)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"wrote {out} (4 images, 5 of them new in ")
    assert "left out 0 with models that the database lacks, 1 with nothing to label" in last
    assert last.endswith(f"python train/run.py --dataset {out} --shapedb {shapenet_db.folder}")
    assert sheet.stat().st_size > 5_000
    alone = ImportConfig(
        "corenet", corenet.root, out=tmp_path / "alone", shapedb=shapenet_db.folder or Path(),
        shapenet=shapenet, scenes="pairs", image="opengl", workers=1,
    )  # fmt: skip
    import_dataset(alone)
    assert (alone.out / "dataset.json").read_text() == (out / "dataset.json").read_text()
    options = CoReNetOptions(shapenet, "opengl")
    for split, numbers in {"train": [0, 2], "val": [0, 1]}.items():
        theirs = CoReNetDataset(corenet.root, f"pairs.{split}", shapenet_db, options)
        ours = RenderedDataset(out, split, shapenet_db)
        assert len(ours) == len(numbers)
        for i, number in enumerate(numbers):
            got, want = ours[i], theirs[number]
            np.testing.assert_allclose(got.boxes.matrix(), want.boxes.matrix(), atol=1e-9)
            np.testing.assert_array_equal(got.model_index, want.model_index)
            np.testing.assert_allclose(got.camera.pose, want.camera.pose, atol=1e-9)
            assert np.abs(got.image.astype(int) - want.image).mean() < 2


def test_a_database_can_hold_out_what_the_scenes_do(
    corenet: "CoReNetWriter", shapenet: Path, tmp_path: Path
) -> None:
    held_out = tmp_path / "held_out.txt"
    mug = corenet.usual[1]
    corenet.split("pairs.train", corenet.scene())
    corenet.split("pairs.val", corenet.scene((mug,)))
    root = corenet.split("pairs.test", corenet.scene((mug,)))
    done = run("corenet", "--root", root, "--scenes", "pairs", "--list-models", held_out)
    assert done.returncode == 0, done.stderr
    assert f"wrote {held_out} (1 models)" in done.stdout
    assert held_out.read_text() == f"{mug.synset}/{mug.name}\n"
    made = build(
        BuildConfig(
            out=tmp_path / "db", shapenet=(shapenet,), procedural=0, classes=("chair", "mug"),
            exemplars_per_class=1, exemplars="any", held_out=held_out, oracle_models=0, workers=0,
        )
    ).database  # fmt: skip
    splits = {model.id.split("/")[1]: model.split for model in made.models}
    assert [name for name, split in splits.items() if split == "val"] == [mug.name]
    assert mug.name not in [made.models[i].id.split("/")[1] for i in made.exemplar_model]
    done = run("corenet", "--root", root, "--scenes", "triplets", "--list-models", held_out)
    assert done.returncode == 2
    assert "triplets.val: no such folder; unpack triplets.val.tar below --root" in done.stderr


def test_an_interrupted_import_goes_on_and_other_options_are_refused(
    config: ImportConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "SHARD_SAMPLES", 1)
    done = import_dataset(config)
    assert (done.made.samples, done.made.new, done.without_label) == (4, 5, 1)
    before = (config.out / "dataset.json").read_text()
    with pytest.raises(InputError, match="add --overwrite"):
        import_dataset(config)
    (config.out / "dataset.json").unlink()
    (config.out / "train" / "shard-00002.zip").unlink()
    with pytest.raises(InputError, match="unfinished dataset of other options"):
        import_dataset(replace(config, image="opengl"))
    assert import_dataset(config).made.new == 1
    assert (config.out / "dataset.json").read_text() == before


def test_limits_take_the_first_pictures(config: ImportConfig) -> None:
    done = import_dataset(replace(config, train=1, val=0))
    assert done.made.samples == 1
    manifest = json.loads((config.out / "dataset.json").read_text())
    assert manifest["config"]["format"] == "corenet"
    assert [shard["samples"] for shard in manifest["splits"]["train"]] == [1]
    assert manifest["splits"]["val"] == []
    with pytest.raises(InputError, match="no picture to import"):
        import_dataset(replace(config, train=0, val=0, overwrite=True))


def test_models_that_the_database_lacks_are_counted_and_can_be_skipped(
    config: ImportConfig, corenet: "CoReNetWriter", shapenet_db: ShapeDB
) -> None:
    lacking = {"mesh_filenames": np.array(["e" * 32, "f" * 32])}
    one_lacking = {"mesh_filenames": np.array(["b" * 32, "f" * 32])}
    usual = corenet.scene()
    corenet.split(
        "pairs.train", replace(usual, changes=lacking), usual, replace(usual, changes=one_lacking)
    )
    words = (
        r"2 pictures show 2 models that shape database [0-9a-f]{8} lacks \(like 03001627/e+\); "
        r"build it with them \(python shapedb_export/build_db\.py --shapenet .*\), or add "
        "--skip-missing"
    )
    with pytest.raises(InputError, match=words):
        import_dataset(config)
    assert not config.out.exists()
    done = import_dataset(replace(config, skip_missing=True, train=1))
    assert (done.made.samples, done.without_model) == (3, 1)
    assert len(RenderedDataset(config.out, "train", shapenet_db)) == 1


def test_a_set_of_which_nothing_can_be_labelled_is_an_error(
    config: ImportConfig, corenet: "CoReNetWriter"
) -> None:
    corenet.split("pairs.train", corenet.scene(eye=(0.4, -0.4, 2.3)))
    with pytest.raises(InputError, match="none of 1 pictures could be labelled"):
        import_dataset(replace(config, val=0))


def test_photographs_are_linked_and_imported(
    pix3d: "Pix3DWriter", pix3d_models: "Pix3DModels", tmp_path: Path
) -> None:
    names = [name for name in pix3d.meshes if not name.startswith("bed")]
    photos = [
        pix3d.photo(f"{model.split('/')[0]}/{i:04d}.png", model, turn=0.5 * i)
        for i, model in enumerate(names * 2)
    ]
    root, out, folder = pix3d.write(*photos), tmp_path / "set", pix3d_models.shapedb.folder
    linked = run("pix3d", "--root", root, "--cad", tmp_path / "cad", "--link-cad")
    assert linked.returncode == 0, linked.stderr
    want = f"linked 4 meshes into {tmp_path / 'cad'}; next: python shapedb_export/build_db.py --cad"
    assert linked.stdout.startswith(want)
    words: list[Any] = ["--root", root, "--shapedb", folder, "--out", out, "--workers", 1]
    done = run("pix3d", *words, "--cad", tmp_path / "cad")
    assert done.returncode == 0, done.stderr
    splits = [RenderedDataset(out, name, pix3d_models.shapedb) for name in ("train", "val")]
    assert sum(map(len, splits)) == len(photos)


def test_misuse_is_one_line_and_code_2(tmp_path: Path) -> None:
    for words, message in (
        (["corenet", "--root", tmp_path / "none"], "--root .*none: no such folder"),
        (["corenet", "--root", tmp_path, "--train", "-1"], "--train must be at least 0, got -1"),
        (["corenet", "--root", tmp_path, "--link-cad"], "--link-cad is for pix3d"),
        (["pix3d", "--root", tmp_path, "--shapedb", tmp_path], "is no shape database"),
    ):
        done = run(*words)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("error: ")
        assert message.replace(".*", str(tmp_path) + "/") in done.stderr
