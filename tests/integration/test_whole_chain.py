"""From procedural CAD to a scene of a real frame, by the commands people run, in miniature."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from points2objects.bundle import Bundle
from points2objects.exemplars import ExemplarPack
from points2objects.glb import decode_glb

ROOT = Path(__file__).parents[2]
FRAME = ROOT / "demo" / "frames" / "chair-with-bowl.jpg"

pytestmark = [pytest.mark.slow, pytest.mark.convert]


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def made(script: str, out: Path, *arguments: object) -> Path:
    """Run a command that writes `out`, and check that its last line says so."""
    done = run(script, *arguments, "--out", out)
    assert done.returncode == 0, f"{script}: {done.stderr}"
    assert str(out) in done.stdout.strip().splitlines()[-1]
    return out


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with shapedb, exemplars.glb, dataset, run and bundle."""
    folder = tmp_path_factory.mktemp("chain")
    shapedb = made(
        "shapedb_export/build_db.py",
        folder / "shapedb",
        *("--procedural", 4, "--exemplars-per-class", 2, "--oracle-models", 0),
    )
    made("shapedb_export/export_pack.py", folder / "exemplars.glb", shapedb)
    dataset = made(
        "train/make_dataset.py",
        folder / "dataset",
        *("--shapedb", shapedb, "--train", 16, "--val", 4, "--quality", "fast"),
    )
    sources = ("--shapedb", shapedb, "--dataset", dataset)
    training = made(
        "train/run.py", folder / "run", *sources, "--preset", "smoke", "--steps", 3, "--batch", 4
    )
    few = ("--calibration-images", 16, "--parity-images", 4, "--layer-images", 1)
    made("convert/to_tflite.py", folder / "bundle", training, *sources, *few)
    return folder


@pytest.fixture(scope="module")
def other_shapedb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of the same size made from other CAD."""
    return made(
        "shapedb_export/build_db.py",
        tmp_path_factory.mktemp("other") / "shapedb",
        *("--procedural", 4, "--exemplars-per-class", 2, "--oracle-models", 0, "--seed", 1),
        *("--workers", 0),
    )


def test_bundle_holds_the_database_it_was_trained_on(chain: Path) -> None:
    bundle = Bundle.load(chain / "bundle")
    pack = ExemplarPack.load(chain / "exemplars.glb")
    assert bundle.spec.shapedb_digest == pack.digest == bundle.exemplars.digest
    assert len(pack) == 2 * len(pack.classes)


def test_demo_reconstructs_a_real_frame(chain: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    # Hardly trained, so nothing is a find yet: everything above the lowest score is shown.
    done = run(
        "demo/camera.py",
        *("--source", FRAME, "--bundle", chain / "bundle", "--out", out),
        *("--score", 0.001, "--no-window"),
    )
    assert done.returncode == 0, done.stderr
    (line,) = (out / "scenes.jsonl").read_text(encoding="utf-8").splitlines()
    scene = json.loads(line)
    assert scene["objects"]
    assert (out / "chair-with-bowl.jpg").stat().st_size > 10_000
    assert len(decode_glb((out / "scene.glb").read_bytes(), "scene.glb").meshes) > 0


def test_run_and_bundle_are_scored_by_the_same_command(chain: Path) -> None:
    sources = ("--shapedb", chain / "shapedb", "--dataset", chain / "dataset")
    for model in ("run", "bundle"):
        out = chain / f"{model}-scores"
        done = run("train/evaluate.py", chain / model, *sources, "--out", out)
        assert done.returncode == 0, done.stderr
        assert "mAP" in done.stdout
        figures = json.loads((out / "report.json").read_text(encoding="utf-8"))
        assert 0 < figures["known_gravity"]["voxels"]["oracle"]["mean"] <= 1
        assert "| oracle |" in (out / "report.md").read_text(encoding="utf-8")


def test_pack_of_another_database_is_refused(
    chain: Path, other_shapedb: Path, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(chain / "bundle", mixed)
    (mixed / "exemplars.glb").unlink()
    made("shapedb_export/export_pack.py", mixed / "exemplars.glb", other_shapedb, "--workers", 0)
    done = run("demo/camera.py", "--source", FRAME, "--bundle", mixed, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: exemplars.glb: ")


def test_dataset_of_another_database_is_refused(
    chain: Path, other_shapedb: Path, tmp_path: Path
) -> None:
    sources = ("--shapedb", other_shapedb, "--dataset", chain / "dataset")
    done = run("train/run.py", *sources, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
