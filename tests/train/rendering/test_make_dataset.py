import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from p2o_shapedb.database import ShapeDB
from p2o_train.data import sharding
from p2o_train.data.making import MakeConfig, make_dataset
from p2o_train.data.rendered import RenderedDataset
from p2o_train.data.sharding import SHARD_SAMPLES, cut_shards
from points2objects.errors import InputError

SCRIPT = Path(__file__).parents[3] / "train" / "make_dataset.py"


def options(solids: ShapeDB, out: Path, **changes: object) -> MakeConfig:
    assert solids.folder is not None
    values = {"train": 3, "val": 2, "quality": "fast", "workers": 1} | changes
    return MakeConfig(shapedb=solids.folder, out=out, **values)  # type: ignore[arg-type]


def shas(out: Path) -> dict[str, list[str]]:
    splits = json.loads((out / "dataset.json").read_text())["splits"]
    return {name: [shard["sha256"] for shard in shards] for name, shards in splits.items()}


def test_a_database_without_validation_models_is_refused_before_anything_is_written(
    solids: ShapeDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_training = replace(solids, models=tuple(replace(m, split="train") for m in solids.models))
    monkeypatch.setattr(ShapeDB, "load", lambda _: only_training)
    with pytest.raises(InputError, match="no model of split 'val'; build it with --val-share and"):
        make_dataset(options(solids, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_workers_and_interruptions_do_not_change_the_dataset(
    solids: ShapeDB, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert make_dataset(options(solids, one)).new == 5
    assert make_dataset(options(solids, two, workers=2)).new == 5
    assert shas(one) == shas(two)
    with pytest.raises(InputError, match="add --overwrite"):
        make_dataset(options(solids, one))
    (one / "dataset.json").unlink()
    (one / "val" / "shard-00000.zip").unlink()
    assert make_dataset(options(solids, one)).new == 2
    assert shas(one) == shas(two)
    (one / "dataset.json").unlink()
    with pytest.raises(InputError, match="unfinished dataset of other options"):
        make_dataset(options(solids, one, seed=1))


def test_the_command_makes_splits_without_shared_models_and_a_sheet(
    solids: ShapeDB, tmp_path: Path
) -> None:
    out, sheet = tmp_path / "set", tmp_path / "sheet.png"
    words = ["--shapedb", solids.folder, "--out", out, "--train", 2, "--val", 2, "--workers", 1]
    words += ["--quality", "fast", "--contact-sheet", sheet, "--sheet-samples", 4]
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"wrote {out} (4 images")
    assert sheet.stat().st_size > 10_000
    for split in ("train", "val"):
        dataset = RenderedDataset(out, split, solids)
        for i in range(len(dataset)):
            sample = dataset[i]
            assert sample.image.shape == (256, 256, 3)
            assert {solids.models[int(m)].split for m in sample.model_index} == {split}
            assert (sample.visible_fraction >= 0.149).all()
            low = sample.boxes.translation[:, 1] - sample.boxes.scale[:, 1] / 2
            np.testing.assert_allclose(low, 0, atol=1e-12)


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_two_parts_put_together_are_what_one_machine_makes(
    solids: ShapeDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "SHARD_SAMPLES", 2)
    whole, first, second = (tmp_path / name for name in ("whole", "first", "second"))
    extra = {"masks": True, "depth": True}
    make_dataset(options(solids, whole, **extra))
    made = make_dataset(options(solids, first, shard="0/2", **extra))
    assert (made.new, made.missing) == (3, 1)
    assert not (first / "dataset.json").exists()
    assert make_dataset(options(solids, second, shard="1/2", **extra)).new == 2
    with pytest.raises(InputError, match="delete the folder instead"):
        make_dataset(options(solids, second, shard="1/2", overwrite=True, **extra))
    for path in second.rglob("*.zip"):
        shutil.copy(path, first / path.relative_to(second))
    assert make_dataset(options(solids, first, **extra)).new == 0
    assert tree(first) == tree(whole)


def test_parts_in_one_folder_complete_it(
    solids: ShapeDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "SHARD_SAMPLES", 1)
    out = tmp_path / "set"
    made = [make_dataset(options(solids, out, train=2, val=1, shard=f"{i}/3")) for i in (1, 2, 0)]
    assert [one.missing for one in made] == [2, 1, 0]
    assert len(RenderedDataset(out, "train", solids)) == 2


def test_a_foreign_folder_is_never_deleted(solids: ShapeDB, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        make_dataset(options(solids, tmp_path, overwrite=True))
    assert (tmp_path / "thesis.txt").exists()


def test_shards_cover_every_sample_once() -> None:
    counts = {"val": 3, "train": 2 * SHARD_SAMPLES + 7}
    for split, count in counts.items():
        jobs = [job for job in cut_shards(counts) if job.split == split]
        numbers = [n for job in jobs for n in range(job.first, job.first + job.count)]
        assert numbers == list(range(count))


def test_misuse_is_one_line_and_code_2(tmp_path: Path) -> None:
    for words, message in (
        (["--shapedb", str(tmp_path)], "is no shape database"),
        (["--train", "-1"], "--train must be at least 0, got -1"),
        (["--assets", str(tmp_path / "none")], "no such folder"),
        (["--shard", "2/2"], "--shard must be I/N with I from 0 to N - 1"),
    ):
        done = subprocess.run(
            [sys.executable, SCRIPT, "--out", str(tmp_path / "x"), *words],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("error: ")
        assert message in done.stderr
