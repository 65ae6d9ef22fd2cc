import errno
from dataclasses import dataclass
from pathlib import Path

import pytest

from p2o_shapedb.command import atomic_path, parse, run_command
from points2objects.errors import BundleError, InputError


@dataclass(frozen=True)
class Options:
    """Options of a test."""

    count: int = 1
    """How many."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"--count must be at least 1, got {self.count}")


def test_options_are_read() -> None:
    assert parse(Options, "Test.", ["--count", "3"]) == Options(3)


def test_a_refused_value_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(Options, "Test.", ["--count", "0"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: --count must be at least 1, got 0\n"


def test_an_unknown_option_is_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(Options, "Test.", ["--cuont", "1"])
    assert stop.value.code == 2
    assert "--cuont" in capsys.readouterr().err


def test_help_is_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(Options, "What it does.", ["--help"])
    assert stop.value.code == 0
    assert "How many." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("no such file"), 2),
        (BundleError("parts differ"), 2),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 2),
        (OSError(errno.ENOSPC, "No space left on device", "shard.zip"), 2),
        (PermissionError(errno.EACCES, "Permission denied", "runs/mine"), 2),
        (OSError(errno.EROFS, "Read-only file system"), 2),
        (ConnectionResetError(errno.ECONNRESET, "reset"), 1),
        (RuntimeError("broken\nin two lines"), 1),
        (KeyboardInterrupt(), 130),
        (None, 0),
    ],
)
def test_exit_codes(
    error: BaseException | None, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> None:
        if error:
            raise error

    assert run_command(body) == code
    shown = capsys.readouterr().err
    assert shown.count("\n") == (1 if code else 0)
    assert not code or shown.startswith("error: ")


def test_verbose_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> None:
        raise RuntimeError("deep inside")

    assert run_command(body, verbose=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_result_appears_only_when_complete(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "out") as temporary:
        temporary.mkdir()
        assert not (tmp_path / "out").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_failing_body_leaves_the_old_result(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_path(path, overwrite=True) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (
        pytest.raises(InputError, match=r"out exists; add --overwrite"),
        atomic_path(tmp_path / "out"),
    ):
        pytest.fail("the body must not run")


def test_a_folder_is_replaced_when_asked(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    with atomic_path(tmp_path / "out", overwrite=True) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["new"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_path_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"cannot write .*file/x/y: Not a directory; choose"),
        atomic_path(tmp_path / "file" / "x" / "y"),
    ):
        pytest.fail("the body must not run")


def test_a_linked_folder_is_replaced_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "disk" / "old").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "old")
    with atomic_path(tmp_path / "out", overwrite=True) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert (tmp_path / "out").is_symlink()
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["old"]
    assert [p.name for p in (tmp_path / "disk" / "old").iterdir()] == ["new"]
