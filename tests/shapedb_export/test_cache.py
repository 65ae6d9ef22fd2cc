from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from p2o_shapedb.cache import Cache, Refusal, cache_key
from p2o_shapedb.cad.axes import Axes
from p2o_shapedb.cad.meshes import CadFile
from p2o_shapedb.cad.side_files import side_files
from p2o_shapedb.database import CanonicalMesh
from p2o_shapedb.pipeline_version import code_only, pipeline_version
from p2o_shapedb.process import Facts, Job, Record
from points2objects.errors import InputError

OBJ = "mtllib a.mtl\nv 0 0 0\n"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "a.obj"
    path.write_text(OBJ)
    file = CadFile(path, "mug", "mug/a.obj", "s", "CC0", "", True)
    return Job("mug/a", "mug", file, 0, 0, 180.0, 10.0)


def record() -> Record:
    rng = np.random.default_rng(0)
    sdf = rng.normal(size=(32, 32, 32)).astype(np.float32)
    facts = Facts(
        points=rng.normal(size=(512, 3)).astype(np.float32),
        extent_m=np.array([0.1, 0.2, 1 / 3]),
        symmetry=2,
        mirror_axis=0,
        method="winding",
        repairs=("dropped 3 triangles without area",),
        seconds=0.5,
    )
    return Record(mesh(), sdf, facts)


def mesh() -> CanonicalMesh:
    vertices = np.array([[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0]], np.float32)
    return CanonicalMesh(
        vertices, np.array([[0, 1, 2]], np.int32), np.zeros((3, 3), np.uint8), True
    )


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    assert not cache.holds("abc")
    cache.put("abc", record())
    assert cache.holds("abc")
    read, want = cache.facts("abc"), record().facts
    np.testing.assert_array_equal(cache.sdf("abc"), record().sdf)
    np.testing.assert_array_equal(read.points, want.points)
    np.testing.assert_array_equal(read.extent_m, want.extent_m)
    assert (read.symmetry, read.mirror_axis, read.method) == (2, 0, "winding")
    assert read.repairs == want.repairs
    assert CanonicalMesh.load(cache.mesh_file("abc")).faces.tolist() == [[0, 1, 2]]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put("abc", record())
    (cache.folder("abc") / "points.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"abc: damaged .*delete it and run again"):
        cache.facts("abc")


def test_refusals_are_remembered(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    assert cache.refusal("abc") is None
    cache.refuse("abc", Refusal("a.obj: too slow", 60.0))
    assert cache.refusal("abc") == Refusal("a.obj: too slow", 60.0)


def test_the_key_depends_on_content_and_settings_not_on_place_or_time(job: Job) -> None:
    assert job.file is not None
    key = cache_key(job)
    moved = job.file.path.with_name("b.obj")
    moved.write_text(OBJ)
    assert cache_key(replace(job, file=replace(job.file, path=moved))) == key
    others = [
        replace(job, id="mug/b"),
        replace(job, class_name="bowl"),
        replace(job, turn_deg=90.0),
        replace(job, max_extent=5.0),
        replace(job, diagonal_m=0.2),
        replace(job, axes=Axes("z")),
        replace(job, axes=Axes(unit_m=0.01)),
        replace(job, file=None),
        replace(job, file=None, index=1),
        replace(job, file=None, seed=1),
    ]
    keys = [key, *map(cache_key, others)]
    assert len(set(keys)) == len(keys)
    moved.write_text(OBJ + "v 1 0 0\n")
    assert cache_key(replace(job, file=replace(job.file, path=moved))) != key


def test_materials_and_textures_are_part_of_the_key(job: Job) -> None:
    assert job.file is not None
    folder = job.file.path.parent
    keys = [cache_key(job)]
    for name, text in (("a.mtl", "newmtl m\nmap_Kd a b.png\n"), ("a b.png", "1"), ("a b.png", "2")):
        (folder / name).write_text(text)
        keys.append(cache_key(job))
    assert len(set(keys)) == 4
    assert [path.name for path in side_files(job.file.path)] == ["a.mtl", "a b.png"]


def test_a_gltf_names_its_buffers(tmp_path: Path) -> None:
    (tmp_path / "a b.bin").write_bytes(b"1")
    path = tmp_path / "a.gltf"
    path.write_text(
        '{"buffers": [{"uri": "a%20b.bin"}, {"uri": "data:x"}, {"uri": "none.bin"}],'
        f' "images": [{{"uri": "{"x" * 999}"}}]}}'
    )
    assert side_files(path) == (tmp_path / "a b.bin",)
    (tmp_path / "a.stl").touch()
    assert side_files(tmp_path / "a.stl") == ()


def test_side_files_are_those_that_the_reader_finds(tmp_path: Path) -> None:
    (tmp_path / "Tex").mkdir()
    for name in ("M.mtl", "Tex/w\u00f6.png", "s.bin", "p.png"):
        (tmp_path / name).touch()
    (tmp_path / "M.mtl").write_bytes("newmtl m\rmap_Kd -s 2 2 tex\\w\u00f6.PNG\r".encode("cp1252"))
    (tmp_path / "a.obj").write_text("# made\r  MTLLIB m.mtl\rv 0 0 0\r", "utf-16")
    assert [p.name for p in side_files(tmp_path / "a.obj")] == ["M.mtl", "w\u00f6.png"]
    (tmp_path / "a.ply").write_bytes(b"ply\r\ncomment TextureFile P.png\r\nend_header\r\n\0\xff")
    assert side_files(tmp_path / "a.ply") == (tmp_path / "p.png",)
    (tmp_path / "a.glb").write_bytes(b'glTF...{"buffers":[{"uri":"S.bin?v=1"},{"uri":"../p.png"}]}')
    assert side_files(tmp_path / "a.glb") == (tmp_path / "s.bin",)


def test_the_version_follows_the_code_and_not_its_comments() -> None:
    before = code_only('def f(x):\n    """Say."""\n    return x  # why\n')
    assert code_only("def f(x):\n\n    return x\n") == before
    assert code_only("def f(x):\n    return -x\n") != before
    assert pipeline_version() != pipeline_version("cad.axes")
