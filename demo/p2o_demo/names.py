"""File names that are no UTF-8, hold control characters, or stand for the home folder."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

MOST_NAME_BYTES = 200
"""Longest file name made from another: file systems end at 255 bytes, and an ending is added."""


def displayed(name: Path | str) -> str:
    """Return a name as text that fits into a line, a JSON file and another file name.

    Names from a ZIP made on Windows are often in its Western code page, so bytes that are no
    UTF-8 are read as that. Control characters, which would drive the terminal, are escaped.
    """
    raw = os.fsencode(name)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(name: str) -> str:
    """Return the beginning of a name, at most `MOST_NAME_BYTES` long in UTF-8."""
    return name.encode("utf-8", "replace")[:MOST_NAME_BYTES].decode("utf-8", "ignore")


def user_path(text: str | Path) -> Path:
    """Return a path of the user's with a leading `~` expanded, as where no shell has done so."""
    path = Path(text)
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        return path if path.exists() else path.expanduser()
    return path


@contextlib.contextmanager
def native_path(path: Path) -> Iterator[str]:
    """Give OpenCV's video functions a name that they can take, for as long as they open the file.

    They end the process at a name that is no UTF-8; such a one gets a link with a plain name.
    """
    path = path.absolute()
    if _is_plain(path):
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / ("folder" if _is_plain(Path(path.name)) else "file")
        link.symlink_to(path.parent if link.name == "folder" else path)
        yield str(link / path.name if link.name == "folder" else link)


def _is_plain(path: Path) -> bool:
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
