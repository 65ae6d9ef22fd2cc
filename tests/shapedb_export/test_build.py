import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh as trimesh_typed

from p2o_shapedb import build as build_module
from p2o_shapedb.build import build
from p2o_shapedb.cad.meshes import CadFile
from p2o_shapedb.config import BuildConfig, PackConfig
from p2o_shapedb.database import ShapeDB
from p2o_shapedb.process import Job, process_model
from p2o_shapedb.reports.report import BuildReport, ClassReport
from p2o_shapedb.reports.summary import describe
from points2objects.errors import InputError

trimesh: Any = trimesh_typed  # half of its own annotations are missing


SCRIPTS = Path(build_module.__file__).parents[1]


def command(script: str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / script), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


def write_cad(root: Path, count: int = 3) -> Path:
    """Write differing tables whose long side runs along z, of unknown licence."""
    (root / "table").mkdir(parents=True)
    for i in range(count):
        top = trimesh.creation.box([0.6 + 0.1 * i, 0.05, 1.4])
        top.apply_translation([0, 0.7, 0])
        foot = trimesh.creation.box([0.2, 0.7, 0.5 + 0.2 * i])
        foot.apply_translation([0, 0.35, 0])
        trimesh.util.concatenate([top, foot]).export(root / "table" / f"t{i}.glb")
    return root


def cad_config(out: Path, root: Path, **changes: object) -> BuildConfig:
    values: dict[str, object] = {
        "out": out, "cad": (root,), "procedural": 0, "classes": ("table",),
        "exemplars_per_class": 2, "exemplars": "any", "workers": 0, "val_share": 0.0,
    }  # fmt: skip
    return BuildConfig(**(values | changes))  # type: ignore[arg-type]


def test_every_class_has_its_models_and_exemplars(small_build: BuildReport) -> None:
    database = small_build.database
    assert len(database.models) == 6 * 5
    assert len(database.exemplar_model) == 6 * 2
    for exemplar_id, model_index in enumerate(database.exemplar_model):
        model = database.models[model_index]
        assert database.classes[exemplar_id // 2] == model.class_name
        assert model.split == "train"
        assert database.exemplar_id[model_index] == exemplar_id
        assert database.soft_labels[model_index].max() == 1.0


def test_both_splits_are_there_and_share_no_model(small_build: BuildReport) -> None:
    for class_name in small_build.database.classes:
        splits = [m.split for m in small_build.database.models if m.class_name == class_name]
        assert {"train", "val"} <= set(splits)


def test_labels_agree_with_the_nearest_exemplar(small_build: BuildReport) -> None:
    database = small_build.database
    assert (database.soft_labels >= 0).all()
    assert (database.soft_labels <= 1).all()
    best = database.soft_labels.max(axis=1)
    local = database.exemplar_id % database.exemplars_per_class
    np.testing.assert_array_equal(database.soft_labels[np.arange(len(best)), local], best)


def test_points_lie_on_the_zero_level(small_build: BuildReport) -> None:
    from p2o_shapedb.canonical import interpolate

    database = small_build.database
    for exemplar_id, model_index in enumerate(database.exemplar_model):
        distance = interpolate(database.sdf[exemplar_id], database.points[model_index])
        assert np.abs(distance).max() < 0.06
        assert np.median(np.abs(distance)) < 0.02


def test_procedural_models_are_closed(small_build: BuildReport) -> None:
    assert small_build.methods == {"winding": 30}


def test_the_summary_names_every_class(small_build: BuildReport) -> None:
    text = describe(small_build)
    assert all(name in text for name in small_build.database.classes)


def test_the_config_lies_beside_the_result(small_build: BuildReport) -> None:
    assert small_build.database.folder is not None
    made = json.loads((small_build.database.folder / "build.json").read_text())
    assert made["config"]["procedural"] == 5


def test_two_workers_give_the_same_database(small_build: BuildReport, tmp_path: Path) -> None:
    config = BuildConfig(
        out=tmp_path / "db", procedural=5, exemplars_per_class=2, classes=("bowl",), workers=2
    )
    again = build(config).database
    rows = [i for i, m in enumerate(small_build.database.models) if m.class_name == "bowl"]
    assert [m.id for m in again.models] == [small_build.database.models[i].id for i in rows]
    np.testing.assert_array_equal(again.points, small_build.database.points[rows])


def test_cad_of_a_folder_is_used(tmp_path: Path) -> None:
    report = build(cad_config(tmp_path / "db", write_cad(tmp_path / "cad")))
    models = report.database.models
    assert [model.id for model in models] == ["table/t0", "table/t1", "table/t2"]
    assert models[0].licence == "unknown"
    assert not models[0].ship


def test_a_two_fold_shape_faces_across_its_long_side(tmp_path: Path) -> None:
    report = build(cad_config(tmp_path / "db", write_cad(tmp_path / "cad")))
    for model in report.database.models:
        assert model.symmetry == 2
        assert model.extent_m[0] == pytest.approx(1.4)


def test_only_shippable_models_become_exemplars_unless_told(tmp_path: Path) -> None:
    root = write_cad(tmp_path / "cad")
    with pytest.raises(
        InputError, match=r"class table has 3 training models, of which 0 have a licence"
    ):
        build(cad_config(tmp_path / "db", root, exemplars="ship"))


def test_a_list_decides_which_models_are_held_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, held_out = write_cad(tmp_path / "cad"), tmp_path / "held_out.txt"
    held_out.write_text("table/t1\n\ntable/t7\n")
    with caplog.at_level("INFO"):
        made = build(cad_config(tmp_path / "db", root, held_out=held_out, val_share=0.5)).database
    assert [model.split for model in made.models] == ["train", "val", "train"]
    assert sorted(made.exemplar_model) == [0, 2]
    assert "1 of 2 models are not in this build, like table/t7" in caplog.text
    held_out.write_text("chair/t1\n")
    with pytest.raises(InputError, match=r"names none of the 3 models; .* like table/t0"):
        build(cad_config(tmp_path / "other", root, held_out=held_out))
    held_out.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="cannot be read as text"):
        build(cad_config(tmp_path / "other", root, held_out=held_out))


def test_bad_files_are_left_out_with_a_line_each(tmp_path: Path) -> None:
    root = write_cad(tmp_path / "cad")
    (root / "table" / "bad.obj").write_text("nothing")
    report = build(cad_config(tmp_path / "db", root))
    assert len(report.database.models) == 3
    assert len(report.refused) == 1
    assert "bad.obj" in report.refused[0]
    with pytest.raises(InputError, match=r"bad\.obj"):
        build(cad_config(tmp_path / "strict", root, strict=True))


def test_what_only_has_the_name_of_a_file_is_left_out(tmp_path: Path) -> None:
    root = write_cad(tmp_path / "cad")
    (root / "table" / "folder.obj").mkdir()
    (root / "table" / "gone.obj").symlink_to(tmp_path / "nowhere.obj")
    os.mkfifo(root / "table" / "pipe.obj")
    report = build(cad_config(tmp_path / "db", root))
    assert len(report.database.models) == 3
    assert [Path(line.split(":")[0]).stem for line in report.refused] == ["folder", "gone", "pipe"]


def test_files_of_one_name_get_different_ids(tmp_path: Path) -> None:
    roots = tuple(write_cad(tmp_path / name) for name in "ab")
    report = build(cad_config(tmp_path / "db", roots[0], cad=roots))
    ids = [model.id for model in report.database.models]
    assert ids == ["table/t0", "table/t1", "table/t2", "table/t0-2", "table/t1-2", "table/t2-2"]


def test_millimetres_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "big.glb"
    trimesh.creation.box([1200, 750, 800]).export(path)
    file = CadFile(path, "table", "table/big.glb", "s", "CC0", "", True)
    with pytest.raises(InputError, match=r"big\.glb: is 1\.2e\+03 m long.*unit the metre"):
        process_model(Job("table/big", "table", file, 0, 0, 0.0, 10.0))


def test_a_second_build_processes_only_what_changed(tmp_path: Path) -> None:
    root = write_cad(tmp_path / "cad")
    first = build(cad_config(tmp_path / "db", root))
    assert (first.work.processed, first.work.cached) == (3, 0)
    again = build(cad_config(tmp_path / "again", root, cache=tmp_path / "db.cache"))
    assert (again.work.processed, again.work.cached) == (0, 3)
    assert again.database.digest == first.database.digest
    trimesh.creation.box([1.0, 0.7, 1.3]).export(root / "table" / "t1.glb")
    changed = build(cad_config(tmp_path / "db", root, overwrite=True))
    assert (changed.work.processed, changed.work.cached) == (1, 2)
    assert changed.database.digest != first.database.digest


def test_a_corrected_file_is_processed_again(tmp_path: Path) -> None:
    root = write_cad(tmp_path / "cad")
    build(cad_config(tmp_path / "db", root))
    toml = tmp_path / "mine.toml"
    toml.write_text('[file."table/t1.glb"]\nunit_m = 0.5\nreason = "drawn too large"\n')
    report = build(cad_config(tmp_path / "db", root, overrides=(toml,), overwrite=True))
    assert (report.work.processed, report.work.cached) == (1, 2)
    assert report.repaired["table/t1"] == (
        "read with up y, front auto, unit 0.5 m by --overrides (drawn too large)",
    )


def test_a_file_that_is_refused_is_not_tried_again(tmp_path: Path) -> None:
    root = write_cad(tmp_path / "cad")
    (root / "table" / "bad.obj").write_text("nothing")
    first = build(cad_config(tmp_path / "db", root))
    again = build(cad_config(tmp_path / "db", root, overwrite=True))
    assert again.work.processed == 0
    assert again.refused == first.refused
    with pytest.raises(InputError, match=r"bad\.obj"):
        build(cad_config(tmp_path / "db", root, overwrite=True, strict=True))


@pytest.mark.slow
def test_a_killed_build_loses_no_model(tmp_path: Path) -> None:
    words = ["--procedural", 12, "--classes", "bowl", "--exemplars-per-class", 2, "--workers", 1]
    words += ["--oracle-models", 0, "--out", tmp_path / "db"]
    script = [sys.executable, str(SCRIPTS / "build_db.py"), *map(str, words)]
    with subprocess.Popen(script, stderr=subprocess.DEVNULL) as killed:
        wait_for(lambda: len(records(tmp_path)) >= 3)
        killed.kill()
    # Its worker ends too; what that was writing stays under a temporary name.
    kept = len(records(tmp_path))
    assert 3 <= kept < 12
    assert not (tmp_path / "db").exists()
    done = command("build_db.py", *words)
    assert done.returncode == 0, done.stderr
    work = json.loads((tmp_path / "db" / "build.json").read_text())["work"]
    assert work["cached"] >= kept
    assert work["processed"] == 12 - work["cached"]
    whole = build(
        BuildConfig(
            out=tmp_path / "whole", procedural=12, classes=("bowl",), exemplars_per_class=2,
            workers=0, oracle_models=0,
        )
    )  # fmt: skip
    assert ShapeDB.load(tmp_path / "db").digest == whole.database.digest


def records(folder: Path) -> list[Path]:
    return [path.parent for path in (folder / "db.cache").glob("??/*/record.json")
            if not path.parent.name.startswith(".")]  # fmt: skip


def wait_for(done: Callable[[], bool], limit_s: float = 240.0) -> None:
    end = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_report_tells_of_every_class(small_build: BuildReport) -> None:
    database = small_build.database
    assert database.folder is not None
    told = json.loads((database.folder / "build.json").read_text())
    assert [one["name"] for one in told["classes"]] == list(database.classes)
    for one in small_build.classes:
        train = one.models - one.val_models
        assert sum(one.quality.cluster_sizes) == train
        assert one.oracle.val_models == one.val_models
        assert one.oracle.train_models == train - database.exemplars_per_class
        assert one.oracle.val is None or 0 < one.oracle.val < 1
        assert one.targets.radius == pytest.approx(database.soft_radius[told_index(one, told)])
    page = (database.folder / "report.md").read_text()
    assert all(f"| {name} |" in page for name in database.classes)
    assert (database.folder / "soft_labels.png").is_file()


def told_index(one: ClassReport, told: dict[str, Any]) -> int:
    return [entry["name"] for entry in told["classes"]].index(one.name)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"procedural": -1}, "--procedural must be a number of at least 0.*; got -1"),
        ({"exemplars_per_class": 0}, "--exemplars-per-class must be at least 1"),
        ({"workers": -1}, "--workers must be at least 0"),
        ({"procedural": 0}, "give --cad, --shapenet, or --procedural"),
        ({"exact_clusters": 50}, "--exact-clusters must be at least 100, got 50"),
        ({"oracle_models": -1}, "--oracle-models must be at least 0"),
        ({"time_limit_s": 0.0}, "--time-limit-s must be positive"),
        ({"worker_memory_gb": -1.0}, "--worker-memory-gb must be positive"),
        ({"unit_m": 0.0}, "unit_m must be a positive number"),
        ({"up": "z", "front": "z"}, "--front z lies along --up z"),
        ({"val_share": 1.0}, "--val-share"),
        ({"classes": ("mug", "mug")}, "--classes must be distinct"),
        ({"held_out": Path("nowhere.txt")}, "--held-out nowhere.txt: no such file"),
    ],
)
def test_options_are_checked(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        BuildConfig(**changes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="--triangles must be at least 12"):
        PackConfig(shapedb=Path("shapedb"), triangles=3)


def test_commands_end_with_what_they_made(tmp_path: Path) -> None:
    root = write_cad(tmp_path / "cad")
    words = ["--out", tmp_path / "db", "--cad", root, "--procedural", 0, "--classes", "table"]
    words += ["--exemplars-per-class", 2, "--exemplars", "any", "--val-share", 0, "--workers", 1]
    built = command("build_db.py", *words)
    assert built.returncode == 0, built.stderr
    assert built.stdout.splitlines()[-1].startswith(f"wrote {tmp_path / 'db'} (3 models")
    packed = command("export_pack.py", tmp_path / "db", "--out", tmp_path / "e.glb")
    assert packed.returncode == 0, packed.stderr
    assert packed.stdout.splitlines()[-1].startswith(f"wrote {tmp_path / 'e.glb'} (")
    again = command("export_pack.py", tmp_path / "db", "--out", tmp_path / "e.glb")
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    assert "add --overwrite" in again.stderr


@pytest.mark.parametrize(
    ("script", "words", "message"),
    [
        ("build_db.py", ["--procedural", "0"], "give --cad, --shapenet, or --procedural"),
        ("build_db.py", ["--cad", "/nowhere", "--out", "{tmp}/a"], "no such folder"),
        ("build_db.py", ["--cad", "{tmp}", "--out", "{tmp}/b"], "no CAD files"),
        ("export_pack.py", ["/nowhere", "--out", "{tmp}/c.glb"], "is no shape database"),
    ],
)
def test_misuse_is_one_line_and_code_2(
    script: str, words: list[str], message: str, tmp_path: Path
) -> None:
    done = command(script, *(word.format(tmp=tmp_path) for word in words))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
