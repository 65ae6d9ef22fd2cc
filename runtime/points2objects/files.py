"""Write files so that a reader never sees half of one."""

import hashlib
import os
from pathlib import Path

from points2objects.errors import InputError


def write_file(path: Path, data: bytes) -> None:
    """Write a file under a temporary name beside it, then rename; an older file is replaced.

    Raises:
        InputError: The folder is missing or not writable.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {error.strerror}; is the folder there?") from error


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
