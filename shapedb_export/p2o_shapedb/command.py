"""What every command of the project shares: options, exit codes and safe writing."""

import contextlib
import io
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from points2objects.errors import InputError, Points2ObjectsError

Config = TypeVar("Config")


def parse(config_type: type[Config], description: str, args: list[str] | None = None) -> Config:
    """Read the options of a command into its config record.

    Args:
        config_type: Frozen dataclass; the string under each field is its `--help` text.
        description: What the command does, shown on top of `--help`.
        args: Words of the command line; those of the process by default.

    Raises:
        SystemExit: 0 after `--help`, 2 for unknown options or values the record refuses.
    """
    import tyro

    shown = io.StringIO()
    try:
        with contextlib.redirect_stderr(shown):
            return tyro.cli(config_type, description=description, args=args)
    except SystemExit as stop:
        # tyro draws a box around what a record's own check says; we want the one line.
        refused = _cause(stop, Points2ObjectsError)
        print(f"error: {refused}" if refused else shown.getvalue().rstrip(), file=sys.stderr)
        raise SystemExit(stop.code) from None


def run_command(main: Callable[[], None], verbose: bool = False) -> int:
    """Run a command's body and return its exit code.

    0 done; 2 misused or bad input (`InputError`, `BundleError`), or a package that is not
    installed; 130 interrupted; 1 anything else. A failure prints one line that starts with
    `error:`, and with `verbose` the traceback above it.
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        main()
    except Points2ObjectsError as error:
        return _failed(str(error), 2, verbose)
    except KeyboardInterrupt:
        return _failed("interrupted", 130, verbose)
    except ModuleNotFoundError as error:
        need = f"needs the Python package {error.name}; 'make install' installs all that is needed"
        return _failed(need, 2, verbose)
    except Exception as error:
        hint = "" if verbose else " (--verbose shows where)"
        return _failed(f"{type(error).__name__}: {error}{hint}", 1, verbose)
    return 0


def _cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the first error of a kind in the chain that led to `error`."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, kind):
        link = link.__cause__ or link.__context__
    return link


def _failed(message: str, code: int, verbose: bool) -> int:
    if verbose:
        traceback.print_exc()
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


@contextlib.contextmanager
def atomic_path(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary name beside `path`, and rename it to `path` when the body succeeds.

    The body creates either a file or a folder under the name it gets. A failing or interrupted
    body leaves nothing behind, and the old result (if any) untouched.

    Raises:
        InputError: `path` exists and `overwrite` is off, or it cannot be written.
    """
    path = Path(path)
    with _naming(path):
        refuse_existing(path, overwrite)
        # Through a link, so that what it leads to is replaced and not the link.
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        _remove(temporary)
    try:
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written for {path}")
        with _naming(path):
            _replace(target, temporary)
    finally:
        _remove(temporary)


def _replace(target: Path, temporary: Path) -> None:
    if not target.is_dir():
        temporary.replace(target)
        return
    # A folder cannot be replaced in one step: move the old one aside first.
    aside = target.with_name(f".{target.name}.{os.getpid()}.old")
    target.rename(aside)
    temporary.rename(target)
    _remove(aside)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into one line about `path`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose another --out") from error


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Stop before any work when a result is there already.

    Raises:
        InputError: `path` exists and `overwrite` is off.
    """
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; add --overwrite to replace it, or choose another --out")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
