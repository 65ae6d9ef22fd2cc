"""Write files so that a reader never sees half of one."""

import functools
import hashlib
import os
import sys
from pathlib import Path

from points2objects.errors import InputError
from points2objects.staging import create_temporary, cure, sweep


def write_file(path: Path, data: bytes) -> None:
    """Write a file under a temporary name beside it, then rename; an older file is replaced.

    Threads and processes may write one path at a time: the last to finish wins, whole.

    Raises:
        InputError: The folder is missing, not writable or full.
    """
    try:
        _sweep_once(path.parent)
        _write(path, data)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; {cure(error)}") from error
    except ValueError as error:  # a name with a zero byte
        raise InputError(f"cannot write {path!r}: {error}; choose another name") from error


def _write(path: Path, data: bytes) -> None:
    temporary, descriptor = create_temporary(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if sys.platform != "win32":
                # Within, because closing gives the lock back that keeps the temporary from a sweep.
                temporary.replace(path)
        if sys.platform == "win32":
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@functools.cache
def _sweep_once(folder: Path) -> None:
    """Remove what killed writers left, once a process: a folder may hold thousands of files."""
    sweep(folder)


def read_file(path: Path, most_bytes: int) -> bytes:
    """Read a file of at most so many bytes; nothing is allocated for a larger one.

    Raises:
        InputError: Larger, no plain file, or not readable.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        size = path.stat().st_size
        if size > most_bytes:
            raise InputError(f"{path}: {size} bytes; at most {most_bytes} are read")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def sha256(data: bytes) -> str:
    """Return the SHA-256 of some bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
