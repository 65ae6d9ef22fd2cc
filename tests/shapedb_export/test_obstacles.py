import json
import logging
import shutil
from pathlib import Path

import pytest
import trimesh

from p2o_shapedb.build import build
from p2o_shapedb.config import BuildConfig
from p2o_shapedb.database import ShapeDB
from points2objects.errors import InputError
from points2objects.files import sha256


def write_boxes(root: Path, counts: dict[str, int], ship: bool = False) -> Path:
    """Write so many boxes of each class."""
    entries = []
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            box = trimesh.creation.box((0.3 + i / 50, 0.4, 0.2))
            box.export(root / name / f"{name}-{i}.obj")
            entries.append({"path": f"{name}/{name}-{i}.obj", "ship": ship, "licence": "CC0-1.0"})
    (root / "index.json").write_text(json.dumps(entries), "utf-8")
    return root


def config_of(root: Path, **options: object) -> BuildConfig:
    usual: dict[str, object] = {
        "out": root.parent / "db", "cad": (root,), "workers": 0, "oracle_models": 0,
        "classes": ("lamp", "cabinet"), "val_share": 0.0,
    }  # fmt: skip
    return BuildConfig(**{**usual, **options})  # type: ignore[arg-type]


def test_all_classes_that_lack_models_are_told_of_before_any_work(tmp_path: Path) -> None:
    root = write_boxes(tmp_path / "cad", {"lamp": 4, "cabinet": 3})
    with pytest.raises(InputError) as told:
        build(config_of(root, exemplars_per_class=6))
    assert str(told.value) == (
        "--exemplars-per-class 6 needs as many: class lamp has 4 training models, of which 0 have "
        "a licence to become exemplars; class cabinet has 3 training models, of which 0 have a "
        "licence to become exemplars. Ways out: for your own use add --exemplars any, or name "
        "licences in index.json; then use --exemplars-per-class 3 or fewer; or give more --cad"
    )
    assert not (tmp_path / "db.cache").exists()


def test_the_ways_out_lead_out(tmp_path: Path) -> None:
    root = write_boxes(tmp_path / "cad", {"lamp": 4, "cabinet": 3})
    report = build(config_of(root, exemplars="any", exemplars_per_class=3))
    assert report.database.classes == ("lamp", "cabinet")


def test_the_ways_out_leave_a_model_to_validate_with(tmp_path: Path) -> None:
    root = write_boxes(tmp_path / "cad", {"lamp": 6, "cabinet": 5}, ship=True)
    with pytest.raises(InputError, match="use --exemplars-per-class 3 or fewer"):
        build(config_of(root, exemplars_per_class=6, val_share=0.01))
    report = build(config_of(root, exemplars_per_class=3, val_share=0.01))
    held_out = {model.class_name for model in report.database.models if model.split == "val"}
    assert held_out == {"lamp", "cabinet"}


def test_generated_models_are_a_way_out_only_where_there_is_a_generator(tmp_path: Path) -> None:
    root = write_boxes(tmp_path / "cad", {"lamp": 2}, ship=True)
    with pytest.raises(InputError, match=r"or more --procedural for mug$"):
        build(config_of(root, classes=("lamp", "mug"), procedural=1, exemplars_per_class=2))


def test_a_folder_in_another_spelling_is_named(tmp_path: Path) -> None:
    root = write_boxes(tmp_path / "cad", {"Lamps": 2, "cabinet": 2}, ship=True)
    with pytest.raises(InputError) as told:
        build(config_of(root, exemplars_per_class=2))
    words = "class lamp has no models; give --cad with a folder lamp/, but there is"
    assert f"{words} {root}/Lamps/: rename it to lamp/" in str(told.value)


def test_folders_of_no_class_are_offered_as_classes(tmp_path: Path) -> None:
    root = write_boxes(tmp_path / "cad", {"lamp": 1, "cabinet": 1})
    with pytest.raises(InputError, match=r"cabinet \(1\), lamp \(1\): .* --classes cabinet lamp;"):
        build(config_of(root, classes=("bottle", "bowl")))


def test_a_class_whose_files_are_all_refused_says_why(tmp_path: Path) -> None:
    root = write_boxes(tmp_path / "cad", {"lamp": 2, "cabinet": 2}, ship=True)
    for file in (root / "lamp").iterdir():
        file.write_text("v 1 2", "utf-8")
    with pytest.raises(InputError, match=r"class lamp has no models \(2 files left out: .*obj"):
        build(config_of(root, exemplars_per_class=2))


def test_a_class_without_a_validation_model_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_boxes(tmp_path / "cad", {"lamp": 3, "cabinet": 9}, ship=True)
    with caplog.at_level(logging.WARNING):
        build(config_of(root, exemplars_per_class=2, val_share=0.01))
    lines = [line for line in caplog.messages if "held out for validation" in line]
    assert len(lines) == 1
    assert lines[0].startswith("lamp: ")


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (60, (60, 60, 0)),
        (("60",), (60, 60, 0)),
        (("chair=5",), (5, 0, 0)),
        (("3", "chair=5"), (5, 3, 0)),
        (("chair=5", "3"), (5, 3, 0)),
        (("chair=0", "sofa=2"), (0, 2, 0)),
    ],
)
def test_generated_models_are_counted_by_class(
    words: int | tuple[str, ...], counts: tuple[int, ...]
) -> None:
    classes = ("chair", "sofa", "lamp")
    config = BuildConfig(cad=(Path("cad"),), classes=classes, procedural=words)
    assert tuple(config.procedural_of(name) for name in classes) == counts


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (-1, "--procedural must be a number"),
        (("3", "4"), "got 3 4"),
        (("chair=x",), "got chair=x"),
        (("chair=-2",), "got chair=-2"),
        (("chair=2", "chair=3"), "got chair=2 chair=3"),
        (("lamp=3",), r"--procedural lamp: nothing generates this class.*folder lamp/"),
        (("mug=3",), "--procedural mug: is not one of --classes chair lamp"),
    ],
)
def test_counts_that_make_no_sense_are_refused(words: int | tuple[str, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        BuildConfig(cad=(Path("cad"),), classes=("chair", "lamp"), procedural=words)


def test_the_six_and_an_own_class_build_together(tmp_path: Path) -> None:
    root = write_boxes(tmp_path / "cad", {"lamp": 2}, ship=True)
    options = {"classes": ("mug", "lamp"), "procedural": ("mug=3",), "exemplars_per_class": 2}
    database = build(config_of(root, **options)).database
    assert [model.class_name for model in database.models] == ["lamp"] * 2 + ["mug"] * 3


def test_a_database_knows_the_files_of_its_models(tmp_path: Path) -> None:
    root = write_boxes(tmp_path / "cad", {"lamp": 2, "cabinet": 2}, ship=True)
    build(config_of(root, exemplars_per_class=2))
    kept = ShapeDB.load(tmp_path / "db").source_digests
    assert kept["lamp/lamp-1"] == sha256((root / "lamp" / "lamp-1.obj").read_bytes())
    assert len(kept) == 4
    (tmp_path / "db" / "sources.json").write_text("[", "utf-8")
    with pytest.raises(InputError, match=r"sources\.json: broken"):
        _ = ShapeDB.load(tmp_path / "db").source_digests
    shutil.rmtree(tmp_path / "db")
