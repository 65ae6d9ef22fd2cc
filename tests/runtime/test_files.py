"""Files and folders are whole or not there, whatever ends their writer."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from points2objects import staging
from points2objects.errors import InputError
from points2objects.files import write_file
from points2objects.staging import cure, staged_folder, sweep

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs signals and locks")

KILLED = """
import os, signal, sys
from pathlib import Path
from points2objects.staging import staged_folder
target, moment = Path(sys.argv[1]), sys.argv[2]
def hook(event, arguments):
    if event == "os.rename" and moment == "at the rename":
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
with staged_folder(target) as folder:
    (folder / "content").write_text("new")
    if moment == "in the body":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_is_written_and_replaced_with_the_usual_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_file(path, b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["a.bin"]
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none/a", "No such file or directory; is the folder there?"),
        ("file/a", "Not a directory; is the folder there?"),
        ("n" * 300, "File name too long; choose a shorter name"),
        ("folder", "Is a directory; a folder of that name is there"),
        ("a\0b", "choose another name"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(
    tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=re.escape(words)):
        write_file(tmp_path / name, b"x")
    assert names(tmp_path) == ["file", "folder"]


def test_errors_of_disks_say_what_to_do() -> None:
    cures = {number: cure(OSError(number, "")) for number in (errno.ENOSPC, errno.EROFS)}
    assert cures == {
        errno.ENOSPC: "make room on the disk",
        errno.EROFS: "choose a place that can be written",
    }
    assert cure(OSError("no number"), "try again") == "try again"


@POSIX
def test_full_disk_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"earlier")
    program = (
        "import resource, sys; from pathlib import Path; from points2objects.files import *\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_file(Path(sys.argv[1]), bytes(5000))\n"
        "except InputError as error: print(error)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "File too large; the file size is limited here (ulimit -f)" in done.stdout
    assert (tmp_path / "a").read_bytes() == b"earlier"
    assert names(tmp_path) == ["a"]


def test_threads_that_write_one_path_never_mix_their_files(tmp_path: Path) -> None:
    path = tmp_path / "a"
    sizes = {letter: 200_000 + 50_000 * letter for letter in range(4)}
    bad: list[int] = []
    write_file(path, bytes([0]) * sizes[0])

    def write(letter: int) -> None:
        for _ in range(25):
            write_file(path, bytes([letter]) * sizes[letter])
            data = path.read_bytes()
            if len(data) != sizes[data[0]] or data.count(data[0]) != len(data):
                bad.append(letter)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bad == []
    assert names(tmp_path) == ["a"]


@POSIX
def test_temporary_of_a_killed_writer_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "living") as living:
        dead = tmp_path / f".dead.0123abcd{staging.TEMPORARY}"
        dead.mkdir()
        (dead / "half").touch()
        (tmp_path / f".file.0123abcd{staging.TEMPORARY}").touch()
        mine = ["notes.tmp", ".hidden", f"x{staging.TEMPORARY}", ".a.0123abcd.tmp"]
        for name in mine:
            (tmp_path / name).touch()
        (tmp_path / f".link.0123abcd{staging.TEMPORARY}").symlink_to(tmp_path / "notes.tmp")
        sweep(tmp_path)
        kept = [living.name, f".link.0123abcd{staging.TEMPORARY}", *mine]
        assert names(tmp_path) == sorted(kept)
    assert (tmp_path / "living").is_dir()


@POSIX
@pytest.mark.parametrize("moment", ["in the body", "at the rename"])
def test_killed_writer_costs_no_earlier_folder_and_the_next_one_cleans_up(
    tmp_path: Path, moment: str
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "content").write_text("earlier")
    done = subprocess.run([sys.executable, "-c", KILLED, str(target), moment], check=False)
    if moment == "in the body" or done.returncode:
        assert done.returncode == -signal.SIGKILL
        assert (target / "content").read_text() == "earlier"
    with staged_folder(target) as folder:
        (folder / "content").write_text("next")
    assert (target / "content").read_text() == "next"
    assert names(tmp_path) == ["out"]


def test_folder_moved_aside_by_a_killed_writer_comes_back(tmp_path: Path) -> None:
    # Where folders cannot be exchanged in one step, a kill may come between the two renames.
    aside = tmp_path / f".out.0123abcd{staging.ASIDE}"
    aside.mkdir()
    (aside / "content").write_text("earlier")

    def fail() -> None:
        with staged_folder(tmp_path / "out"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "out" / "content").read_text() == "earlier"
    assert names(tmp_path) == ["out"]


@pytest.mark.skipif(sys.platform != "linux", reason="the call is Linux's")
def test_folders_are_exchanged_in_one_step(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not staging._exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot")
    assert (tmp_path / "a" / "b").exists()
    assert (tmp_path / "b" / "a").exists()


@pytest.mark.parametrize("name", ["n" * 250, "ü" * 120, "line\nbreak"])
def test_names_up_to_the_limit_of_the_file_system_are_written(tmp_path: Path, name: str) -> None:
    write_file(tmp_path / name, b"x")
    with staged_folder(tmp_path / "f" / name):
        pass
    assert names(tmp_path / "f") == [name]
