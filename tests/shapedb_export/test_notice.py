"""Everybody whose shapes ship is named, with the licence, its address and what was changed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tomllib

from p2o_shapedb.packing.licences import MODIFIED, known_licence
from p2o_shapedb.packing.notice import credit_bundle, credited, notice
from points2objects import Box9DoF, Bundle, Camera, Detections, Scene
from points2objects.bundle import DEFAULT_BUNDLE
from points2objects.files import sha256
from points2objects.glb import decode_glb
from points2objects.glb_container import join_chunks, split_chunks

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.load()


@pytest.mark.parametrize(
    ("words", "spdx", "uri"),
    [
        ("CC-BY-3.0", "CC-BY-3.0", "https://creativecommons.org/licenses/by/3.0/"),
        ("CC0-1.0", "CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("MIT (robosuite wheel)", "MIT", "https://opensource.org/license/mit"),
        (
            'GPL-2.0-or-later OR CC-BY-3.0 (catalog says "GNU GPL / CC-BY 3.0")',
            "GPL-2.0-or-later OR CC-BY-3.0",
            "https://creativecommons.org/licenses/by/3.0/",
        ),
        ("own words", "own words", ""),
    ],
)
def test_licences_are_named_as_machines_read_them(words: str, spdx: str, uri: str) -> None:
    known = known_licence(words)
    assert (known.spdx, known.uri) == (spdx, uri)
    assert known_licence(str(known)) == known


def test_every_shipped_mesh_says_what_is_owed_for_it(shipped: Bundle) -> None:
    for mesh in shipped.exemplars.meshes:
        assert mesh.extras["attribution"], mesh.name
        assert mesh.extras["licence_uri"].startswith("https://"), mesh.name
        assert mesh.extras["modified"] == MODIFIED


def test_the_pack_and_the_notice_name_all_authors_and_licences(shipped: Bundle) -> None:
    line = decode_glb((DEFAULT_BUNDLE / "exemplars.glb").read_bytes(), "exemplars.glb").copyright
    text = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert text == notice(shipped.exemplars)
    for mesh in shipped.exemplars.meshes:
        for key in ("attribution", "licence", "licence_uri", "modified"):
            assert mesh.extras[key] in line
            assert mesh.extras[key] in text


def test_the_wheel_names_the_licences_of_its_meshes(shipped: Bundle) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license-files"] == ["LICENSE", "NOTICE"]
    named = set(re.split(r" AND |[()]", project["license"])) - {""}
    assert set(shipped.exemplars.licences) | {"Apache-2.0"} == named


def test_nothing_that_ships_hides_its_licence_behind_the_projects_name() -> None:
    files = [ROOT / "NOTICE", ROOT / "README.md", *DEFAULT_BUNDLE.iterdir()]
    for path in files:
        assert b"same as points2objects" not in path.read_bytes(), path.name


@pytest.mark.parametrize("licence", ["CC-BY-3.0", "GPL-2.0-or-later OR CC-BY-3.0", "CC-BY-3.0-US"])
def test_a_saved_scene_carries_what_is_owed(shipped: Bundle, licence: str) -> None:
    exemplar = shipped.exemplars.licences.index(licence)
    boxes = Box9DoF(np.eye(3)[None], np.array([[0.0, 0.5, -2.0]]), np.full((1, 3), 0.5))
    one = np.ones(1)
    found = Detections(boxes, np.array([0]), np.array([exemplar]), one, np.zeros((1, 2)))
    camera = Camera.from_fov(60, 64, 64).with_gravity(np.array([0.0, -1.0, 0.0]))
    scene = Scene(found, ("chair",), np.array([-1]), camera, shipped.exemplars.meshes)
    file = decode_glb(scene.to_glb(), "scene.glb")
    extras = shipped.exemplars.meshes[exemplar].extras
    assert file.copyright == (
        f"{extras['attribution']} ({licence}, {extras['licence_uri']}, modified: {MODIFIED})"
    )
    for key in ("source", "attribution", "licence", "licence_uri", "modified"):
        assert file.meshes[0].extras[key] == extras[key]


def test_credits_written_anew_leave_the_meshes_alone(tmp_path: Path, shipped: Bundle) -> None:
    """From what an earlier version wrote, and a second time without a change."""
    folder = tmp_path / "default"
    shutil.copytree(DEFAULT_BUNDLE, folder)
    text, binary = split_chunks((folder / "exemplars.glb").read_bytes())
    document = json.loads(text)
    document["nodes"][3]["extras"] = {
        **document["nodes"][3]["extras"],
        "source": "infinigen",
        "licence": "BSD-3-Clause generator (output: own work)",
        "attribution": "",
    }
    del document["nodes"][3]["extras"]["licence_uri"]
    old = join_chunks(json.dumps(document).encode(), binary or b"")
    (folder / "exemplars.glb").write_bytes(old)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"]["exemplars.glb"] = sha256(old)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "shapedb_export/credit_bundle.py",
            folder,
            "--notice",
            tmp_path / "N",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "wrote the credits of 300 exemplars" in done.stdout
    anew = credit_bundle(folder)
    assert anew.exemplars.meshes[3].extras["licence"] == "Apache-2.0"
    assert "Infinigen" in anew.exemplars.meshes[3].extras["attribution"]
    assert notice(anew.exemplars) == (tmp_path / "N").read_text(encoding="utf-8")
    for mesh, was in zip(anew.exemplars.meshes, shipped.exemplars.meshes, strict=True):
        np.testing.assert_array_equal(mesh.vertices, was.vertices)
        np.testing.assert_array_equal(mesh.faces, was.faces)
    pack = (folder / "exemplars.glb").read_bytes()
    assert credited(pack) == pack
