import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from p2o_shapedb.database import SOURCES, ShapeDB
from p2o_train.rendering.catalog import Catalog
from p2o_train.rendering.clutter import CAD_FOLDERS, Clutter, Labelled
from p2o_train.rendering.drafts import draw_layout
from points2objects.files import sha256

KINDS = ("floor", "tabletop", "desk")


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CAD of every folder that clutter knows: two boxes of its own in each."""
    import trimesh

    root = tmp_path_factory.mktemp("assets")
    folders = sorted({name for names in CAD_FOLDERS.values() for name in names})
    for number, name in enumerate(folders):
        (root / "cad" / name).mkdir(parents=True)
        for copy in range(2):
            box = trimesh.creation.box((0.3, 0.4 + number / 100, 0.2 + copy / 100))
            box.export(root / "cad" / name / f"{name}-{copy}.obj")
    return root


def drawn(clutter: Clutter, count: int = 400) -> tuple[set[str], set[str]]:
    """Return the names of what is drawn, and the CAD files."""
    rng = np.random.default_rng(0)
    things = [clutter.draw(rng, kind) for kind in KINDS for _ in range(count)]
    assets = {thing.hull.asset for thing in things if thing}
    return {thing.name for thing in things if thing}, {a[4:] for a in assets if a[:4] == "cad:"}


def test_without_a_database_everything_is_drawn(assets: Path) -> None:
    names, files = drawn(Clutter(assets, Labelled()))
    assert {"lamp", "cabinet", "display", "car", "telephone", "loudspeaker", "books"} <= names
    assert len(files) == 12


@pytest.mark.parametrize("spelling", ["lamp", "Lamps", "floor_lamp", "DeskLamp"])
def test_a_lamp_is_no_clutter_where_lamps_are_a_class(assets: Path, spelling: str) -> None:
    names, files = drawn(Clutter(assets, Labelled(("bottle", spelling))))
    assert names.isdisjoint({"lamp", "post", "cone"})
    assert {"cabinet", "books", "plant"} <= names
    assert not [file for file in files if "lamp" in file]


def test_a_database_of_an_unheard_of_class_is_known_by_its_files(assets: Path) -> None:
    digest = sha256((assets / "cad" / "lamp" / "lamp-1.obj").read_bytes())
    clutter = Clutter(assets, Labelled(("leuchte",), frozenset({digest})))
    assert not [file for file in drawn(clutter)[1] if "lamp" in file]


def test_a_file_that_is_named_like_a_class_is_no_clutter(assets: Path, tmp_path: Path) -> None:
    shutil.copytree(assets, tmp_path / "assets")
    folder = tmp_path / "assets" / "cad" / "cabinet"
    shutil.copy(folder / "cabinet-0.obj", folder / "bedsideTable2.obj")
    _, all_files = drawn(Clutter(tmp_path / "assets", Labelled(("mug",))))
    _, files = drawn(Clutter(tmp_path / "assets", Labelled(("table",))))
    assert {Path(file).stem for file in all_files - files} == {"bedsideTable2"}


def test_where_everything_resembles_a_class_nothing_is_drawn() -> None:
    classes = ("cabinet", "stool", "post", "ball", "plant", "lamp", "picture")
    clutter = Clutter(None, Labelled(classes))
    assert clutter.draw(np.random.default_rng(0), "floor") is None
    assert not clutter.hangings


def test_scenes_of_lamps_and_cabinets_have_neither_without_a_label(
    solids: ShapeDB, assets: Path, tmp_path: Path
) -> None:
    """A class under a name of its own is safe too: what its models are made of tells."""
    file = assets / "cad" / "cabinet" / "cabinet-0.obj"
    (tmp_path / SOURCES).write_text(json.dumps({solids.models[0].id: sha256(file.read_bytes())}))
    own = renamed(replace(solids, folder=tmp_path), {solids.classes[0]: "lamp"})
    # The layouts need no meshes of models that lie on the floor.
    catalog = Catalog(own, "train", assets, 100)
    things = [
        thing
        for seed in range(100)
        for thing in draw_layout(np.random.default_rng(seed), catalog).layout.clutter
    ]
    assert len(things) > 30
    assert {thing.thing for thing in things}.isdisjoint({"lamp", "cabinet", "post", "cone", ""})
    assert not [t for t in things if "/lamp/" in t.asset or "/cabinet/" in t.asset]


def renamed(database: ShapeDB, names: dict[str, str]) -> ShapeDB:
    """Return a database with other names of classes."""
    models = tuple(
        replace(
            model,
            id=f"{names.get(model.class_name, model.class_name)}/{model.id.split('/')[1]}",
            class_name=names.get(model.class_name, model.class_name),
        )
        for model in database.models
    )
    classes = tuple(names.get(name, name) for name in database.classes)
    return replace(database, classes=classes, models=models)
