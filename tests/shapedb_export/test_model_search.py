import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2o_shapedb.cad.meshes import find_cad
from p2o_shapedb.cad.model_search import alike_folders, unread_line, walk
from points2objects.errors import InputError

NOBODY = 65534


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_models_in_subfolders_are_found_with_names_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "chair/one.glb", "chair/foo/scene.gltf", "chair/foo/scene.bin")
    touch(tmp_path, "chair/bar baz/scene.gltf", "chair/bar baz/textures/wood.png")
    touch(tmp_path, "chair/train/chair_0001.off", "chair/a/source/model.obj", "mug/m.stl")
    found = find_cad(tmp_path, ("chair",))
    assert [(file.name, file.key) for file in found] == [
        ("a_source_model", "chair/a/source/model.obj"),
        ("bar_baz_scene", "chair/bar baz/scene.gltf"),
        ("foo_scene", "chair/foo/scene.gltf"),
        ("one", "chair/one.glb"),
        ("train_chair_0001", "chair/train/chair_0001.off"),
    ]


def test_a_long_path_gives_a_name_that_fits(tmp_path: Path) -> None:
    names = ["/".join(["chair", *["deep" * 20] * 4, f"{i}.glb"]) for i in range(2)]
    first, second = find_cad(touch(tmp_path, *names), ("chair",))
    assert len(first.name) < 200
    assert first.name != second.name


def test_what_macos_leaves_is_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "chair/windsor.glb", "chair/._windsor.glb", "chair/__MACOSX/windsor.glb")
    touch(tmp_path, "chair/.DS_Store", "chair/.cache/b.obj", "chair/a/._b.obj")
    assert [file.path.name for file in find_cad(tmp_path, ("chair",))] == ["windsor.glb"]


def test_links_are_followed_and_circles_end(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.glb", "chair/b.glb")
    (tmp_path / "chair" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "chair")
    assert [path.name for path in walk(tmp_path / "chair")] == ["b.glb", "a.glb"]


def test_other_formats_are_counted_in_one_line(tmp_path: Path) -> None:
    touch(tmp_path, "a.fbx", "deep/B.FBX", "c.usdz", "d.zip", "e.splat", "f.png", "g.txt", "h.glb")
    line = unread_line(tmp_path, walk(tmp_path))
    assert line == (
        f"{tmp_path}: 5 files of other formats not read (2 .fbx, 1 .splat, 1 .usdz, 1 .zip); "
        "convert models to .glb, e.g. with Blender; unpack archives; splats hold no triangles"
    )
    assert unread_line(tmp_path, [tmp_path / "f.png", tmp_path / "h.glb"]) == ""


@pytest.mark.parametrize("name", ["Chair", "CHAIR", "chairs", "Chairs", " chair", "chair "])
def test_a_folder_that_was_meant_is_named(name: str, tmp_path: Path) -> None:
    touch(tmp_path, f"{name}/one.glb", "mug/m.glb")
    words = f"the folders there are .*{name}.*: rename '{name}' to 'chair'"
    with pytest.raises(InputError, match=words):
        find_cad(tmp_path, ("chair",))
    assert alike_folders(tmp_path, "chair") == (name,)


def test_words_of_a_class_may_be_joined_anyhow(tmp_path: Path) -> None:
    touch(tmp_path, "Dining Tables/a.glb", "glass/b.glb", "table/c.glb")
    assert alike_folders(tmp_path, "dining_table") == ("Dining Tables",)
    assert alike_folders(tmp_path, "table") == ()


def test_a_class_of_other_formats_only_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "chair/a.fbx")
    with pytest.raises(InputError, match=r"folders there are chair; .*1 files of other formats"):
        find_cad(tmp_path, ("chair",))
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="it holds no folders"):
        find_cad(tmp_path / "none", ("chair",))


@contextlib.contextmanager
def somebody() -> Iterator[None]:
    """Lay down root's rights, who may list every folder."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_folder_that_may_not_be_listed_is_named() -> None:
    # Not in `tmp_path`, whose parents are the user's alone.
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        touch(root, "chair/private/a.glb")
        (root / "chair" / "private").chmod(0)
        with (
            somebody(),
            pytest.raises(InputError, match=r"private: cannot be listed \(Permission denied\)"),
        ):
            find_cad(root, ("chair",))
        (root / "chair" / "private").chmod(0o755)
