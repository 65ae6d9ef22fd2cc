"""The paper's tables, trained and measured end to end in miniature."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from p2o_shapedb.database import ShapeDB
from p2o_train.checkpoint import load_network
from p2o_train.config import TrainConfig
from p2o_train.data.making import MakeConfig, make_dataset
from p2o_train.experiments.options import (
    Experiment,
    OneDataset,
    PairsAndTriplets,
    parse_experiment,
)
from p2o_train.experiments.running import run_table, training_words
from p2o_train.experiments.tables import TABLES, Column, Row, Table
from p2o_train.experiments.writing import FilledRow, look_up, to_markdown
from p2o_train.options import parse_training
from points2objects.errors import InputError

SCRIPTS = Path(__file__).parents[3] / "train" / "experiments"
CLASSES = ("bottle", "bowl", "chair", "mug", "sofa", "table")


@pytest.fixture(scope="module")
def shapedb(solids: ShapeDB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the solids' database, but points and distances that losses can use."""
    folder = tmp_path_factory.mktemp("experiments") / "shapedb"
    assert solids.folder is not None
    shutil.copytree(solids.folder, folder)
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, solids.points.shape).astype(np.float32)
    replace(solids, points=points, sdf=solids.sdf - np.float32(0.1)).save(folder)
    return folder


@pytest.fixture(scope="module")
def dataset(shapedb: Path) -> Path:
    out = shapedb.with_name("dataset")
    make_dataset(MakeConfig(shapedb=shapedb, out=out, train=3, val=2, quality="fast", workers=1))
    return out


def options(shapedb: Path, dataset: Path, out: Path, *words: str) -> PairsAndTriplets:
    given = ["--shapedb", str(shapedb), "--pairs", str(dataset), "--triplets", str(dataset)]
    given += ["--steps", "2", "--batch", "2", "--input-size", "64", "--voxel-size", "16"]
    given += ["--score", "0.05"]
    small = ["--network.backbone", "hourglass", "--network.no-pretrained"]
    small += ["--network.hourglass-stem", "8", "--network.hourglass-widths", "8", "8"]
    small += ["--workers", "0", "--threads", "1", "--device", "cpu"]
    return parse_experiment(PairsAndTriplets, "", out, [*given, *words, "--", *small])


def test_table_5_end_to_end_and_again_without_doing_anything_twice(
    shapedb: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "table5"
    run_table(5, options(shapedb, dataset, out))
    table = json.loads((out / "table.json").read_text())
    labels = [row["label"] for row in table["rows"]]
    assert labels == ["triplets -> triplets", "triplets -> pairs", "pairs -> triplets"]
    for row in table["rows"]:
        assert row["steps"] == 2
        assert row["images"] == 2
        assert row["training"].startswith("python train/run.py --shapedb ")
        assert row["training_minutes"] > 0
        assert 0 <= row["ours"]["voxel IoU mean"] <= 1
    assert table["rows"][0]["paper"]["voxel IoU mean"] == 36.4
    assert table["machine"]
    text = (out / "table.md").read_text()
    assert re.search(r"\| triplets -> pairs \| [\d.]+ \(36.2\) \|", text)
    report = json.loads((out / "pairs-on-triplets.json").read_text())["report"]
    assert report["score_threshold"] == 0.05
    assert capsys.readouterr().out.endswith(f"wrote {out}/table.md and table.json (3 rows)\n")
    # Both arms saw the same pictures here, in the same order, from the same weights.
    first, second = (
        [json.loads(line) for line in (out / arm / "metrics.jsonl").read_text().splitlines()]
        for arm in ("triplets", "pairs")
    )
    assert [e["total"] for e in first[:2]] == [e["total"] for e in second[:2]]

    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.pt")}
    made |= {path: path.stat().st_mtime_ns for path in out.glob("*-on-*.json")}
    run_table(5, options(shapedb, dataset, out))
    assert {path: path.stat().st_mtime_ns for path in made} == made
    with pytest.raises(InputError, match=r"holds a run with other options \(seed\)"):
        run_table(5, options(shapedb, dataset, out, "--seed", "1"))
    with pytest.raises(InputError, match="--arms must be of triplets, pairs, got fours"):
        run_table(5, options(shapedb, dataset, out, "--arms", "fours"))
    _check_figures_of_all_tables(out / "triplets-on-pairs.json")


def test_heads_alone_learn_in_all_arms_and_are_measured_elsewhere(
    shapedb: Path, dataset: Path, tmp_path: Path
) -> None:
    other = shapedb.with_name("other")
    make_dataset(MakeConfig(shapedb=shapedb, out=other, train=0, val=3, quality="fast", workers=1))
    run_table(5, options(shapedb, dataset, tmp_path / "first", "--arms", "pairs"))
    start = tmp_path / "first" / "pairs"
    given = options(
        *(shapedb, dataset, tmp_path / "frozen", "--init", str(start)),
        *("--frozen", "2", "--features", str(tmp_path / "features")),
    )
    known = {field.name: getattr(given, field.name) for field in fields(Experiment)}
    run_table(2, OneDataset(**known, dataset=dataset, test=other))
    # All four arms took their features from one file.
    assert len(list((tmp_path / "features").iterdir())) == 1
    table = json.loads((tmp_path / "frozen" / "table.json").read_text())
    assert [(row["images"], row["voxel_size"]) for row in table["rows"]] == 4 * [(3, None)]
    assert table["frozen"] == 2
    assert "only the table's heads learned, on its features of 2 augmented images" in (
        tmp_path / "frozen" / "table.md"
    ).read_text("utf-8")
    before, after = (load_network(run).network.state_dict() for run in (start, given.out / "svd"))
    assert torch.equal(before["body.stem.0.weight"], after["body.stem.0.weight"])
    assert not torch.equal(*(net["heads.heads.rotation.out.weight"] for net in (before, after)))
    with pytest.raises(InputError, match="--frozen needs --init"):
        OneDataset(frozen=2)
    # Table 3 counts collisions without grids too.
    run_table(3, OneDataset(**known | {"out": given.out / "3", "voxels": False}, dataset=dataset))
    row = json.loads((given.out / "3" / "table.json").read_text())["rows"][0]
    assert row["voxel_size"] is row["ours"]["mean volume, cells"] is None
    assert row["ours"]["cubic camera heights"] >= 0


def _check_figures_of_all_tables(path: Path) -> None:
    report: dict[str, Any] = json.loads(path.read_text())["report"]
    for make in TABLES.values():
        table = make(report["classes"])
        for row in table.rows:
            assert len(row.figures) == len(table.columns) == len(row.paper)
            for figure in filter(None, row.figures):
                *parents, last = figure.split(".")
                holder: Any = report
                for key in parents:
                    holder = holder[int(key) if isinstance(holder, list) else key]
                assert last in holder or int(last) < len(holder), figure


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_arms_differ_in_what_the_table_is_about_alone(number: int) -> None:
    table = TABLES[number](CLASSES)
    given = OneDataset(steps=7, init=Path("runs/first"), seed=5)
    configs = [parse_training("", training_words(arm, table, given, 7)) for arm in table.arms]
    shared = {"points", "offset", "distance", "collision", "shape_labels", "rotation_norm"}
    about = {1: set(), 2: shared - {"collision", "shape_labels"}, 3: {"collision"}}
    about[4] = {"shape_labels", "soft_temperature"}
    for config in configs:
        assert (config.steps, config.seed, config.init) == (7, 5, Path("runs/first"))
        assert config.fresh_heads == table.fresh_heads
        assert _without(config, about[number]) == _without(configs[0], about[number])
    assert len({str(config) for config in configs}) == len(table.arms)


def _without(config: TrainConfig, names: set[str]) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(config.to_json())
    values["loss"] = {name: v for name, v in values["loss"].items() if name not in names}
    return {name: v for name, v in values.items() if name not in {"out", "rotation"}}


def test_minutes_become_the_same_steps_for_all_arms(
    shapedb: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2o_train.experiments.running.TIMED_STEPS", 3)
    monkeypatch.setattr("p2o_train.experiments.running.SETTLED_STEPS", 1)
    out = tmp_path / "timed"
    given = replace(options(shapedb, dataset, out), steps=None, minutes=1e-3)
    run_table(5, given)
    steps = json.loads((out / "plan.json").read_text())["steps"]
    rows = json.loads((out / "table.json").read_text())["rows"]
    assert {row["steps"] for row in rows} == {steps}
    assert not (out / ".timing").exists()
    with pytest.raises(InputError, match=r"holds an experiment of --minutes 0.001; give the same"):
        run_table(5, replace(given, minutes=2.0))


def test_a_table_shows_ours_beside_the_papers_and_the_change() -> None:
    columns = (Column("mAP"), Column("collisions", share=False))
    rows = (
        Row("without", "a", ("map50", "collisions"), (43.3, 4116)),
        Row("with", "b", ("map50", "missing.0"), (48.6, 1627)),
    )
    facts = {"steps": 1, "training_minutes": 0.5, "images": 2, "evaluation_minutes": 0.1}
    filled = [
        FilledRow(rows[0], {"map50": 0.4, "collisions": 8}, facts),
        FilledRow(rows[1], {"map50": 0.5, "missing": []}, facts),
    ]
    text = to_markdown(
        Table(9, "Test", columns, (), rows),
        filled,
        {"command": "c", "machine": "m", "seed": 0, "init": None},
    )
    assert "| without | 40.0 (43.3) | 8 (4116) |" in text
    assert "| with | 50.0 (48.6) | - (1627) |" in text
    assert "- with against without: mAP +10.0 (+5.3), collisions - (-60.5 %)" in text
    assert look_up({"a": [{"b": 2}]}, "a.0.b") == 2
    assert look_up({"a": None}, "a.b") is None


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_the_commands_explain_themselves_without_torch(number: int) -> None:
    script = SCRIPTS / f"table{number}.py"
    probe = (
        "import runpy, sys\n"
        f"sys.argv = ['{script.name}', '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(script)!r}, run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"Table {number}:" in done.stdout
