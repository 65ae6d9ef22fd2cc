"""A disk that is full or read-only ends a build with one line, and costs no model."""

import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from p2o_shapedb import build as build_module
from p2o_shapedb.command import atomic_path
from p2o_shapedb.database import ShapeDB
from points2objects.errors import InputError

SCRIPT = Path(build_module.__file__).parents[1] / "build_db.py"


def build(folder: Path, most_bytes: int, *more: object) -> subprocess.CompletedProcess[str]:
    """Build where no file may grow beyond a size: writing fails there as on a full disk."""
    words = ["--procedural", 3, "--classes", "bowl", "--exemplars-per-class", 2, "--val-share", 0]
    words += ["--oracle-models", 0, "--out", folder / "db", *more]

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, words)],
        capture_output=True, text=True, check=False, preexec_fn=limited,
    )  # fmt: skip


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return [line for line in done.stderr.splitlines() if not line.startswith("INFO")][-1]


@pytest.mark.slow
def test_a_full_disk_is_not_taken_for_bad_models(tmp_path: Path) -> None:
    for workers in (0, 1):
        full = build(tmp_path, 20_000, "--workers", workers)  # a record takes more
        assert full.returncode == 2, full.stderr
        assert last_line(full).startswith(f"error: cannot write {tmp_path / 'db.cache'}")
        assert not (tmp_path / "db").exists()
        assert not list(tmp_path.rglob("*tmp*")), "temporaries stay"
        assert not list(tmp_path.rglob("*.refused.json")), "a good model is taken for a bad one"
    # Room for records, but not for the database: what is done is kept.
    full = build(tmp_path, 140_000, "--workers", 1)
    assert full.returncode == 2, full.stderr
    assert last_line(full).startswith(f"error: cannot write {tmp_path / 'db'}: ")
    assert not (tmp_path / "db").exists()
    done = build(tmp_path, resource.RLIM_INFINITY, "--workers", 1)
    assert done.returncode == 0, done.stderr
    work = json.loads((tmp_path / "db" / "build.json").read_text())["work"]
    assert (work["processed"], work["cached"]) == (0, 3)
    assert len(ShapeDB.load(tmp_path / "db").models) == 3


def test_a_body_that_finds_the_disk_full_leaves_the_old_result(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")

    def fill() -> None:
        with atomic_path(path, overwrite=True) as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(
        InputError, match=r"cannot write .*result\.txt: No space left on device; ma"
    ):
        fill()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.txt"]  # noqa: PTH208 - names only


def test_numpys_short_write_is_a_full_disk(tmp_path: Path) -> None:
    def fill() -> None:
        with atomic_path(tmp_path / "a.npy"):
            raise OSError("4096 requested and 2048 written")

    with pytest.raises(InputError, match=r"a\.npy: No space left on device; make room"):
        fill()


def test_an_error_that_is_not_the_disks_stays_what_it_is(tmp_path: Path) -> None:
    def read() -> None:
        with atomic_path(tmp_path / "a"):
            (tmp_path / "none").read_text()

    with pytest.raises(FileNotFoundError):
        read()


def test_threads_that_write_one_path_do_not_meet(tmp_path: Path) -> None:
    barrier = threading.Barrier(4)

    def write(letter: str) -> None:
        barrier.wait()
        for _ in range(20):
            with atomic_path(tmp_path / "a", overwrite=True) as temporary:
                temporary.write_text(letter * 1000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "wxyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = (tmp_path / "a").read_text()
    assert len(text) == 1000
    assert len(set(text)) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="files cannot be locked there")
def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    code = "import os, sys\nfrom pathlib import Path\nfrom p2o_shapedb.command import atomic_path\n"
    code += (
        "with atomic_path(Path(sys.argv[1])) as t:\n t.mkdir()\n (t / 'x').touch()\n os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "db")], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with atomic_path(tmp_path / "db") as temporary:
        temporary.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["db"]
