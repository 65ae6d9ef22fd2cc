"""What every command of the project shares: options, exit codes and safe writing."""

import contextlib
import errno
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from points2objects.errors import InputError, Points2ObjectsError
from points2objects.staging import cure, staged_path

Config = TypeVar("Config")

_REFUSALS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR, errno.ENOTEMPTY),
)
"""What a file system answers when it is not the program's fault."""


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

    0 done; 2 misused or bad input (`InputError`, `BundleError`), a package that is not installed,
    or a file system that refuses; 130 interrupted; 1 anything else. A failure prints one line that
    starts with `error:`, and with `verbose` the traceback above it.
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
    except OSError as error:
        if error.errno not in _REFUSALS:
            return _unexpected(error, verbose)
        place = f" {error.filename}" if error.filename else ""
        advice = cure(error, otherwise="choose another --out")
        return _failed(f"cannot write{place}: {error.strerror}; {advice}", 2, verbose)
    except Exception as error:
        return _unexpected(error, verbose)
    return 0


def _unexpected(error: Exception, verbose: bool) -> int:
    hint = "" if verbose else " (--verbose shows where)"
    return _failed(f"{type(error).__name__}: {error}{hint}", 1, verbose)


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
    """Give a temporary name, and rename it to `path` when the body succeeds.

    The body creates either a file or a folder under the name it gets. A failing or interrupted
    body leaves nothing behind, and the old result (if any) untouched; what a killed one leaves,
    the next removes.

    Raises:
        InputError: `path` exists and `overwrite` is off, or it cannot be written, the disk being
            full for example.
    """
    path = Path(path)
    with writing(path):
        refuse_existing(path, overwrite)
        # Through a link, so that what it leads to is replaced and not the link.
        target = path.resolve()
        with staged_path(target) as temporary:
            yield temporary
            if not temporary.exists():
                raise FileNotFoundError(f"nothing was written for {path}")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the file system refuses to write into one line about `path`.

    Raises:
        InputError: The disk is full, read-only or broken, or the place cannot be one.
    """
    try:
        yield
    except OSError as error:
        # NumPy tells of a short write in words, without a number.
        short = error.errno is None and "written" in str(error)
        if not short and error.errno not in _REFUSALS:
            raise
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if short else error
        advice = cure(full, otherwise="choose another --out")
        raise InputError(f"cannot write {path}: {full.strerror}; {advice}") from error


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Stop before any work when a result is there already.

    Raises:
        InputError: `path` exists and `overwrite` is off.
    """
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; add --overwrite to replace it, or choose another --out")
