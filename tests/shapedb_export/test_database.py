import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from p2o_shapedb.database import CLASSES, CanonicalMesh, ModelEntry, ShapeDB
from p2o_shapedb.reports.report import BuildReport
from points2objects.errors import InputError


def entry(**changes: object) -> ModelEntry:
    values: dict[str, object] = {
        "id": "chair/a", "class_name": "chair", "split": "train", "source": "s",
        "licence": "CC0", "attribution": "", "ship": True, "extent_m": (1.0, 1.0, 1.0),
        "symmetry": 1, "mirror_axis": 0,
    }  # fmt: skip
    return ModelEntry(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def copy(small_build: BuildReport, tmp_path: Path) -> Path:
    assert small_build.database.folder is not None
    return Path(shutil.copytree(small_build.database.folder, tmp_path / "copy"))


def test_saving_and_loading_keeps_everything(small_build: BuildReport, tmp_path: Path) -> None:
    database = small_build.database
    database.save(tmp_path)
    loaded = ShapeDB.load(tmp_path)
    assert loaded.models == database.models
    assert loaded.classes == CLASSES
    assert loaded.digest == database.digest
    for name in ("sdf", "points", "exemplar_id", "exemplar_model", "soft_labels", "soft_radius"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(database, name))


def test_the_digest_sees_every_change(small_build: BuildReport) -> None:
    database = small_build.database
    labels = database.soft_labels.copy()
    labels[0, 0] += 0.1
    renamed = (dataclasses.replace(database.models[0], licence="CC-BY"), *database.models[1:])
    changed = [
        dataclasses.replace(database, soft_labels=labels),
        dataclasses.replace(database, models=renamed),
    ]
    assert len({database.digest, *(other.digest for other in changed)}) == 3
    assert dataclasses.replace(database, folder=None).digest == database.digest


def test_models_are_found_by_id(small_build: BuildReport) -> None:
    database = small_build.database
    for i, model in enumerate(database.models):
        assert database.index(model.id) == i
        assert database.classes[database.class_id(i)] == model.class_name
    with pytest.raises(InputError, match=r"holds no model 'chair/ghost'; use the database"):
        database.index("chair/ghost")


def test_meshes_fill_the_cube(small_build: BuildReport) -> None:
    for i in range(0, len(small_build.database.models), 7):
        mesh = small_build.database.mesh(i)
        assert mesh.has_color
        np.testing.assert_allclose(mesh.vertices.min(axis=0), -0.5, atol=1e-6)
        np.testing.assert_allclose(mesh.vertices.max(axis=0), 0.5, atol=1e-6)


def test_a_mesh_survives_its_file(tmp_path: Path) -> None:
    mesh = CanonicalMesh(
        np.eye(3, dtype=np.float32), np.array([[0, 1, 2]]), np.eye(3, dtype=np.uint8), True
    )
    mesh.save(tmp_path / "m.npz")
    loaded = CanonicalMesh.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(loaded.vertices, mesh.vertices)
    np.testing.assert_array_equal(loaded.colors, mesh.colors)
    assert loaded.has_color


def test_a_database_out_of_nowhere_has_no_meshes(small_build: BuildReport) -> None:
    with pytest.raises(InputError, match="not loaded from a folder"):
        dataclasses.replace(small_build.database, folder=None).mesh(0)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no shapedb\.json\); make one with .*build_db\.py"):
        ShapeDB.load(tmp_path)


def test_altered_files_are_refused(copy: Path) -> None:
    header = json.loads((copy / "shapedb.json").read_text())
    header["models"][0]["licence"] = "mine"
    (copy / "shapedb.json").write_text(json.dumps(header))
    with pytest.raises(InputError, match="do not match its digest"):
        ShapeDB.load(copy)


def test_databases_from_before_class_symmetry_load_as_they_did(
    copy: Path, small_build: BuildReport
) -> None:
    header = json.loads((copy / "shapedb.json").read_text())
    assert header.pop("class_symmetry")["mug"] == 1
    (copy / "shapedb.json").write_text(json.dumps(header))
    for extra in ("report.md", "soft_labels.png", "build.json"):
        (copy / extra).unlink()
    loaded = ShapeDB.load(copy)
    assert loaded.digest == small_build.database.digest
    assert loaded.class_symmetry == small_build.database.class_symmetry


def test_other_schemas_are_refused(copy: Path) -> None:
    header = json.loads((copy / "shapedb.json").read_text())
    (copy / "shapedb.json").write_text(json.dumps(header | {"schema": 99}))
    with pytest.raises(InputError, match="reads schema 1, got 99"):
        ShapeDB.load(copy)


@pytest.mark.parametrize("text", ["not json", "{}", '{"schema": 1}'])
def test_broken_headers_are_refused(copy: Path, text: str) -> None:
    (copy / "shapedb.json").write_text(text)
    with pytest.raises(InputError, match="broken shape database"):
        ShapeDB.load(copy)


def test_broken_arrays_are_refused(copy: Path) -> None:
    (copy / "arrays.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match="broken shape database"):
        ShapeDB.load(copy)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "mug/a"}, "expected 'chair/<name>'"),
        ({"id": "chair/a/b"}, "expected 'chair/<name>'"),
        ({"split": "test"}, "'train' or 'val'"),
        ({"symmetry": 3}, "symmetry must be"),
        ({"mirror_axis": 1}, "mirror_axis"),
        ({"extent_m": (1.0, 0.0, 1.0)}, "three sides in metres"),
    ],
)
def test_entries_check_themselves(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        entry(**changes)


def test_two_models_cannot_share_an_id(small_build: BuildReport) -> None:
    models = small_build.database.models
    with pytest.raises(InputError, match="share an id"):
        dataclasses.replace(small_build.database, models=(models[1], *models[1:]))
